/** Field lines and comma-separated lists (RFC 9112 section 5, RFC 9110 section 5). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { READ_BUFFER } from '../../../workers/byte-stream.ts';
import { equalsIgnoringCase, lower } from '../../../workers/http1/chars.ts';
import { FAULT, FAULTY, INCOMPLETE } from '../../../workers/http1/errors.ts';
import { FieldTable, forEachMember } from '../../../workers/http1/fields.ts';

function scan(text: string, countMax = 10): { lines: string[][]; past: number; fault: unknown } {
  return scanBytes(Buffer.from(text, 'latin1'), 0, text.length, countMax);
}

function scanBytes(bytes: Buffer, start: number, end: number, countMax = 10) {
  const table = new FieldTable(countMax);
  const past = table.scan(bytes, start, end);
  const lines = Array.from({ length: table.count }, (_, i) => [
    bytes.toString('latin1', table.start(i), table.nameEnd(i)),
    bytes.toString('latin1', table.valueStart(i), table.valueEnd(i)),
    bytes.toString('latin1', table.start(i), table.end(i)),
  ]);
  return { lines, past, fault: table.fault };
}

test('a line is a name, a value without the white space around it, and all of its bytes', () => {
  const text = 'A:b\r\nX-Y: \t c d\t \r\nEmpty:\r\nSpaces: \t \r\n\r\nrest';
  const { lines, past } = scan(text);
  assert.deepEqual(lines, [
    ['A', 'b', 'A:b\r\n'],
    ['X-Y', 'c d', 'X-Y: \t c d\t \r\n'],
    ['Empty', '', 'Empty:\r\n'],
    ['Spaces', '', 'Spaces: \t \r\n'],
  ]);
  assert.equal(past, text.indexOf('rest'));
});

test('a name holds the bytes of a token and no others, all 256 tried (RFC 9110 section 5.6.2)', () => {
  for (let c = 0; c < 256; c++) {
    const { past } = scan(`X${String.fromCharCode(c)}y: z\r\n\r\n`);
    const isToken = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(c));
    assert.equal(past > 0, isToken || c === 0x3a, `0x${c.toString(16)}`);
  }
});

test('a value holds anything but control characters, all 256 tried (RFC 9110 section 5.5)', () => {
  for (let c = 0; c < 256; c++) {
    const { past } = scan(`X: y${String.fromCharCode(c)}z\r\n\r\n`);
    assert.equal(past > 0, c === 0x09 || (c >= 0x20 && c !== 0x7f), `0x${c.toString(16)}`);
  }
});

const malformed: readonly (readonly [string, string, unknown])[] = [
  ['white space before the colon (RFC 9112 section 5.1)', 'A : b\r\n\r\n', FAULT.fieldName],
  ['a tab before the colon', 'A\t: b\r\n\r\n', FAULT.fieldName],
  ['an empty name', ': b\r\n\r\n', FAULT.fieldName],
  ['a line without a colon', 'A\r\n\r\n', FAULT.fieldName],
  ['white space before the first field (RFC 9112 section 2.2)', ' A: b\r\n\r\n', FAULT.fieldName],
  ['obs-fold with a space (RFC 9112 section 5.2)', 'A: b\r\n c\r\n\r\n', FAULT.fieldName],
  ['obs-fold with a tab', 'A: b\r\n\tc\r\n\r\n', FAULT.fieldName],
  ['obs-fold of an empty value', 'A:\r\n b\r\n\r\n', FAULT.fieldName],
  ['a line that ends in LF', 'A: b\nC: d\r\n\r\n', FAULT.lineEnd],
  ['an empty value that ends in LF', 'A:\nC: d\r\n\r\n', FAULT.lineEnd],
  ['a bare CR within a value', 'A: b\rc\r\n\r\n', FAULT.lineEnd],
  ['CR CR LF', 'A: b\r\r\n\r\n', FAULT.lineEnd],
  ['an empty line that ends in LF', 'A: b\r\n\n', FAULT.fieldName],
  ['an empty line of CR and something else', 'A: b\r\n\rx', FAULT.lineEnd],
  ['a NUL in a value', 'A: b\0\r\n\r\n', FAULT.fieldValue],
  ['a NUL in a name', 'A\0: b\r\n\r\n', FAULT.fieldName],
];
for (const [name, text, fault] of malformed) {
  test(`${name} is refused`, () => {
    const result = scan(text);
    assert.deepEqual([result.past, result.fault], [FAULTY, fault]);
  });
}

test('every prefix of a section of fields is incomplete', () => {
  const text = 'A: b\r\nC:\r\n\r\n';
  for (let end = 0; end < text.length; end++) assert.equal(scan(text.slice(0, end)).past, INCOMPLETE);
  assert.equal(scan(text).past, text.length);
});

test('as many lines as the table holds are read, and one more is refused', () => {
  assert.equal(scan(`${'A:b\r\n'.repeat(3)}\r\n`, 3).past, 17);
  assert.equal(scan(`${'A:b\r\n'.repeat(4)}\r\n`, 3).fault, FAULT.tooManyFields);
});

test('a line is dropped once, however often it is', () => {
  const table = new FieldTable(4);
  const bytes = Buffer.from('A: b\r\nC: d\r\n\r\n');
  table.scan(bytes, 0, bytes.length);
  table.drop(1);
  table.drop(1);
  assert.deepEqual([table.dropped, table.isDropped(0), table.isDropped(1)], [1, false, true]);
  table.scan(bytes, 0, bytes.length);
  assert.deepEqual([table.dropped, table.isDropped(1)], [0, false]);
});

test('the members of a list come without white space and without the empty ones (RFC 9110 section 5.6.1)', () => {
  const membersOf = (text: string) => {
    const members: string[] = [];
    const bytes = Buffer.from(`,x,${text},y,`);
    forEachMember(bytes, 3, 3 + text.length, (start, end) => members.push(bytes.toString('latin1', start, end)));
    return members;
  };
  assert.deepEqual(membersOf('a'), ['a']);
  assert.deepEqual(membersOf(' a ,\tb\t,,c d, ,'), ['a', 'b', 'c d']);
  assert.deepEqual(membersOf(',,'), []);
  assert.deepEqual(membersOf(''), []);
  assert.deepEqual(membersOf(' \t'), []);
});

test('names are equal in any letter case, and only letters have one: all pairs of bytes tried', () => {
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 128; b++) {
      const [one, other] = [String.fromCharCode(a), String.fromCharCode(b)];
      const expected = one === other || (/[A-Za-z]/.test(one) && one.toLowerCase() === other.toLowerCase());
      assert.equal(equalsIgnoringCase(Uint8Array.of(a), 0, 1, lower(other)), expected, `${a} and ${b}`);
    }
  }
});

test('values are read the same four bytes at a time, wherever they begin and whatever they hold', () => {
  const byte = fc.oneof(
    fc.integer({ min: 0x20, max: 0x7e }),
    fc.constantFrom(0, 9, 10, 13, 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0x8d, 0xa0, 0xff),
  );
  const value = fc.array(byte, { maxLength: 40 }).map((bytes) => String.fromCharCode(...bytes));
  const property = fc.property(fc.array(value, { maxLength: 4 }), fc.nat(7), fc.nat(60), (values, start, cut) => {
    const text = `${values.map((one, i) => `${'N'.repeat(i + 1)}:${one}\r\n`).join('')}\r\n`;
    const end = Math.max(0, text.length - Math.max(0, cut - 30));
    READ_BUFFER.fill('\r\n', 0, 400).write(text, start, 'latin1');
    const [inReadBuffer, elsewhere] = [READ_BUFFER, Buffer.from(READ_BUFFER.subarray(0, 400))].map((bytes) =>
      scanBytes(bytes, start, start + end),
    );
    assert.deepEqual(inReadBuffer, elsewhere);
  });
  fc.assert(property, { numRuns: 5_000 });
});
