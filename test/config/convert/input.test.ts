import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { convert } from '../../../src/config/convert/convert.ts';
import { INPUT_BYTES_MAX, readInput } from '../../../src/config/convert/input.ts';
import { type ConvertKind, detectKind } from '../../../src/config/convert/kind.ts';
import { LINES_MAX } from '../../../src/config/convert/perlbal-lines.ts';

const folder = mkdtempSync(join(tmpdir(), 'stekbal-'));
after(() => rmSync(folder, { recursive: true, force: true }));

test('files that are not there, not text, too large, or without an end are refused', () => {
  mkdirSync(join(folder, 'directory'));
  writeFileSync(join(folder, 'huge'), Buffer.alloc(INPUT_BYTES_MAX + 1, '#'));
  writeFileSync(join(folder, 'binary'), Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1]));
  const cases: [path: string, reason: RegExp][] = [
    [join(folder, 'missing'), /cannot be read: there is no such file/],
    [join(folder, 'directory'), /is a directory/],
    [join(folder, 'huge'), /is larger than 4MiB/],
    [join(folder, 'binary'), /is not text/],
    ['/dev/zero', /is a device/],
  ];
  for (const [path, reason] of cases) {
    const input = readInput(path);
    assert.match(input.ok ? 'read' : input.message, reason);
  }
});

test('the first line that could be either tells whose configuration it is', () => {
  const cases: [text: string, kind: ConvertKind | null][] = [
    ['# create pool\n\n  load vhosts\n', 'perlbal'],
    ['affinity_salt = x\n', 'perlbal'],
    ['---\nserver_id: 1\n', 'trafficserver'],
    ['"server_id": 1\n', 'trafficserver'],
    ['{server_id: 1}\n', 'trafficserver'],
    ['set: 1\nSET a = b\n', 'trafficserver'],
    ['SET a = b\nset: 1\n', 'perlbal'],
    ['upstream backends {\n  server 10.0.0.1;\n}\n', 'perlbal'],
    ['Once upon a time\n', null],
    ['', null],
  ];
  for (const [text, kind] of cases) assert.equal(detectKind(text), kind, text);
});

test('a text that is taken for what it is not gives an error and no result', () => {
  const cases: [text: string, from: ConvertKind | null, reason: RegExp][] = [
    ['\n\n', null, /the file is empty; a Perlbal configuration/],
    ['Once upon a time\n', null, /no line of this file says whose it is/],
    ['Once upon a time\n', 'perlbal', /no line of it is a command/],
    ['CREATE POOL x\n', 'trafficserver', /none of its options is here/],
    [`server_id: ${'['.repeat(100_000)}`, null, /nested too deeply|not YAML/],
    ['server_id: 1\nserver_id: 2\n', null, /stands here a second time/],
    ['server_id: 1\n--- \nserver_id: 2\n', null, /not YAML/],
  ];
  for (const [text, from, reason] of cases) {
    const { yaml, diagnostics } = convert({ name: 'x', folder, text }, from);
    assert.equal(yaml, null);
    assert.match(diagnostics.map(({ message }) => message).join('\n'), reason);
  }
});

test('a pipe that nobody writes to is refused where a configuration names it, and is not waited for', () => {
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  const said = messagesOf('LOAD include\nINCLUDE = fifo\nCREATE POOL a\nSET nodefile = fifo\n');
  assert.match(said, /fifo is not included: it is not a regular file/);
  assert.match(said, /the node file "fifo" is not a regular file/);
});

test('files that include themselves, each other, or more than there may be come to an end', () => {
  writeFileSync(join(folder, 'a.loop'), 'CREATE POOL a\nINCLUDE = b.loop\n');
  writeFileSync(join(folder, 'b.loop'), 'INCLUDE = a.loop\n');
  const loop = messagesOf('INCLUDE = a.loop\n');
  assert.equal(loop.match(/a\.loop is not included: it is being read/g)?.length, 1);
  assert.doesNotMatch(loop, /there already/);

  const star = 'INCLUDE = *.star\n'.repeat(200);
  for (let i = 0; i < 20; i++) writeFileSync(join(folder, `${i}.star`), star);
  assert.match(messagesOf(star), /too much was read already/);

  writeFileSync(join(folder, 'lines'), 'x\n'.repeat(LINES_MAX / 4));
  const { yaml, diagnostics } = convert({ name: 'x', folder, text: 'INCLUDE = lines\n'.repeat(5) }, 'perlbal');
  assert.equal(yaml, null);
  assert.match(diagnostics.map(({ message }) => message).join('\n'), /more than 200000 lines, with those of included/);
});

test('patterns match as in Perl, in its order, and in no time', () => {
  const names = ['B.g', 'a.g', 'A1.g', '.hidden.g', `${'a'.repeat(200)}.long`];
  for (const name of names) writeFileSync(join(folder, name), `CREATE POOL ${name.slice(0, 2)}\n`);
  const { yaml } = convert(
    { name: 'x', folder, text: `INCLUDE = *.g ?.g .h*.g\nINCLUDE = ${'*a'.repeat(90)}*b\n` },
    null,
  );
  // perl -e 'print join(" ", glob("*.g ?.g .h*.g"))': a.g A1.g B.g a.g B.g .hidden.g
  assert.deepEqual(yaml?.match(/(?<=: pool )\S+/g), ['a.', 'a1', 'b.', '.h']);
});

test('as many lines as there may be are each named, and more are refused', () => {
  const many = 'x\n'.repeat(LINES_MAX - 2);
  const { yaml, diagnostics } = convert({ name: 'x', folder, text: `${many}USE x\n` }, 'perlbal');
  assert.notEqual(yaml, null);
  assert.ok(diagnostics.length >= LINES_MAX - 1);
  const refused = convert({ name: 'x', folder, text: `${many}USE x\nUSE x\n` }, 'perlbal');
  assert.equal(refused.yaml, null);
  assert.match(refused.diagnostics.map(({ message }) => message).join('\n'), /more than 200000 lines/);
});

function messagesOf(text: string): string {
  return convert({ name: 'x', folder, text }, 'perlbal')
    .diagnostics.map(({ message }) => message)
    .join('\n');
}
