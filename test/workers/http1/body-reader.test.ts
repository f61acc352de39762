/** Bodies: where they end, what of them goes on, and what is refused (RFC 9112 sections 6 and 7). */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BodyReader, REQUEST_CHUNK_BYTES_MAX } from '../../../workers/http1/body-reader.ts';
import { lower } from '../../../workers/http1/chars.ts';
import { FAULT } from '../../../workers/http1/errors.ts';
import { BODY, type BodyKind } from '../../../workers/http1/framing.ts';
import { hexDigits } from '../../fuzz/messages.ts';

function read(kind: BodyKind, text: string, options: { length?: number; keepFraming?: boolean } = {}) {
  const body = new BodyReader();
  const bytes = Buffer.from(text, 'latin1');
  let out = '';
  body.begin(kind, options.length ?? 0, options.keepFraming ?? true);
  const past = body.read(bytes, 0, bytes.length, (b, s, e) => {
    out += b.toString('latin1', s, e);
  });
  return { out, rest: text.slice(past), done: body.done, fault: body.fault };
}

const chunked = (text: string, keepFraming = true) => read(BODY.chunked, text, { keepFraming });

test('a message without a body has been read before any byte came', () => {
  assert.deepEqual(read(BODY.none, 'GET'), { out: '', rest: 'GET', done: true, fault: null });
});

test('a body by length ends where its length says (RFC 9112 section 6.2)', () => {
  assert.deepEqual(read(BODY.length, 'helloGET', { length: 5 }), {
    out: 'hello',
    rest: 'GET',
    done: true,
    fault: null,
  });
  assert.deepEqual(read(BODY.length, 'hell', { length: 5 }), { out: 'hell', rest: '', done: false, fault: null });
});

test('a body until close takes everything and is never done by itself (RFC 9112 section 6.3)', () => {
  assert.deepEqual(read(BODY.untilClose, 'a\r\n\r\n'), { out: 'a\r\n\r\n', rest: '', done: false, fault: null });
});

test('chunks go on as they came (RFC 9112 section 7.1)', () => {
  const text = '5\r\nhello\r\n00A\r\n0123456789\r\n0\r\n\r\n';
  assert.deepEqual(chunked(`${text}GET`), { out: text, rest: 'GET', done: true, fault: null });
});

test('without framing the content alone goes on', () => {
  const { out, rest, done } = chunked('5;x\r\nhello\r\nA\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\nX: y\r\n\r\nGET', false);
  assert.deepEqual([out, rest, done], ['hello\r\n\r\n\r\n\r\n\r\n', 'GET', true]);
});

test('chunk extensions are checked and left out: they are for one hop (RFC 9112 section 7.1.1)', () => {
  const { out, rest, fault } = chunked('5;a;b=c;d="e;\\"\\\\";f\r\nhello\r\n0;x=y\r\n\r\nGET');
  assert.deepEqual([out, rest, fault], ['5\r\nhello\r\n0\r\n\r\n', 'GET', null]);
});

test('trailers go on, those that frame, route, condition or authenticate do not (RFC 9110 section 6.5.1)', () => {
  const kept = 'X-Sum: 1\r\nServer-Timing:\ta \r\n';
  const names = ['Authorization', 'Connection', 'Content-Encoding', 'CONTENT-LENGTH', 'Content-Range', 'Content-Type']
    .concat(['Cookie', 'Expect', 'Host', 'Keep-Alive', 'Proxy-Connection', 'Set-Cookie', 'TE', 'Trailer'])
    .concat([
      'transfer-encoding',
      'Upgrade',
      'Cache-Control',
      'HTTP2-Settings',
      'If-Match',
      'If-None-Match',
      'If-Range',
    ])
    .concat(['If-Modified-Since', 'If-Unmodified-Since', 'Max-Forwards', 'Pragma', 'Proxy-Authenticate', 'Range'])
    .concat(['Proxy-Authorization', 'WWW-Authenticate', 'X_Forwarded_For', 'Content_length', 'transfer_encoding']);
  const left = names.map((name) => `${name}: 1\r\n`).join('');
  const { out, rest, done } = chunked(`0\r\n${left}${kept}\r\nGET`);
  assert.deepEqual([out, rest, done], [`0\r\n${kept}\r\n`, 'GET', true]);
});

test('a trailer whose name Connection has given is for this hop alone (RFC 9110 section 7.6.1)', () => {
  const body = new BodyReader();
  body.begin(BODY.chunked, 0, true, [lower('x-hop'), lower('another')]);
  const text = Buffer.from('0\r\nX-HOP: 1\r\nX-Sum: 1\r\nX_Hop: 2\r\n\r\n');
  let out = '';
  body.read(text, 0, text.length, (bytes, start, end) => {
    out += bytes.toString('latin1', start, end);
  });
  assert.equal(out, '0\r\nX-Sum: 1\r\nX_Hop: 2\r\n\r\n');
});

test('a chunk of a request is below 2^31 bytes, whatever its digits; a response may have a larger one', () => {
  const faultOf = (size: string, body: BodyReader) => {
    body.begin(BODY.chunked, 0, true);
    body.read(Buffer.from(`${size}\r\n`), 0, size.length + 2, () => {});
    return body.fault;
  };
  for (const size of ['80000000', '100000000', '100000005', '0000080000000']) {
    assert.equal(faultOf(size, new BodyReader(REQUEST_CHUNK_BYTES_MAX)), FAULT.chunkSize, size);
    assert.equal(faultOf(size, new BodyReader()), null, size);
  }
  assert.equal(faultOf('000007fffffff', new BodyReader(REQUEST_CHUNK_BYTES_MAX)), null);
});

const refused: readonly (readonly [string, string, unknown])[] = [
  ['an empty size', '\r\nhello\r\n', FAULT.chunkSize],
  ['a size that is not hexadecimal', 'g\r\n', FAULT.chunkSize],
  ['a size with 0x', '0x5\r\nhello\r\n', FAULT.chunkSize],
  ['a size with a sign', '+5\r\nhello\r\n', FAULT.chunkSize],
  ['a negative size', '-1\r\n', FAULT.chunkSize],
  ['a space before the size', ' 5\r\nhello\r\n', FAULT.chunkSize],
  ['a space behind the size', '5 \r\nhello\r\n', FAULT.chunkSize],
  ['a tab behind the size', '5\t\r\nhello\r\n', FAULT.chunkSize],
  ['an underscore in the size', '1_0\r\n', FAULT.chunkSize],
  ['a size line that ends in LF', '5\nhello\r\n', FAULT.chunkSize],
  ['a size line that ends in CR', '5\rhello\r\n', FAULT.chunkSize],
  ['a size of 14 digits', '10000000000000\r\n', FAULT.chunkSize],
  ['a size of 14 digits, most of them zeros', '00000000000005\r\nhello\r\n', FAULT.chunkSize],
  ['a size that overflows 64 bits to 5', '10000000000000005\r\nhello\r\n', FAULT.chunkSize],
  ['a size with a NUL', '5\0\r\nhello\r\n', FAULT.chunkSize],
  ['a chunk longer than its size', '5\r\nhello!\r\n', FAULT.chunkEnd],
  ['a chunk that ends in LF', '5\r\nhello\n0\r\n\r\n', FAULT.chunkEnd],
  ['a chunk that ends in CR', '5\r\nhello\r0\r\n\r\n', FAULT.chunkEnd],
  ['a chunk that ends in another byte and LF', '5\r\nhelloX\n0\r\n\r\n', FAULT.chunkEnd],
  ['a size line that ends in another byte and LF', '5X\nhello\r\n0\r\n\r\n', FAULT.chunkSize],
  ['a last chunk whose empty line is another byte and LF', '0\r\nX\n', FAULT.trailer],
  ['a chunk without an end', '5\r\nhello0\r\n\r\n', FAULT.chunkEnd],
  ['an extension without a name', '5;\r\nhello\r\n', FAULT.chunkExtension],
  ['an empty extension before another', '5;;a\r\nhello\r\n', FAULT.chunkExtension],
  ['an extension without its value', '5;a=\r\nhello\r\n', FAULT.chunkExtension],
  ['white space in an extension', '5; a\r\nhello\r\n', FAULT.chunkExtension],
  ['white space behind an extension', '5;a \r\nhello\r\n', FAULT.chunkExtension],
  ['an extension that ends in LF', '5;a\nhello\r\n', FAULT.chunkExtension],
  ['an LF in a quoted extension', '5;a="\n"\r\nhello\r\n', FAULT.chunkExtension],
  ['an escaped CR in a quoted extension', '5;a="\\\r\n"\r\nhello\r\n', FAULT.chunkExtension],
  ['an unquoted byte behind a quoted extension', '5;a="b"c\r\nhello\r\n', FAULT.chunkExtension],
  ['a CR and no LF behind an extension', '5;a\rx', FAULT.chunkSize],
  ['a NUL in an extension', '5;a\0\r\nhello\r\n', FAULT.chunkExtension],
  ['a last chunk whose empty line ends in CR', '0\r\n\rX', FAULT.trailer],
  ['a last chunk whose empty line is an LF', '0\r\n\n', FAULT.trailer],
  ['a trailer line that ends in LF', '0\r\nX: y\n\r\n', FAULT.trailer],
  ['white space before a trailer colon', '0\r\nX : y\r\n\r\n', FAULT.trailer],
  ['obs-fold in a trailer', '0\r\nX: y\r\n z\r\n\r\n', FAULT.trailer],
  ['a request line for a trailer', '0\r\nGET / HTTP/1.1\r\n\r\n', FAULT.trailer],
];
for (const [name, text, fault] of refused) {
  for (const keepFraming of [true, false]) {
    test(`${name} is refused, ${keepFraming ? 'with' : 'without'} framing`, () => {
      const result = chunked(text, keepFraming);
      assert.deepEqual([result.fault, result.done], [fault, false]);
    });
  }
}

test('any other size than 1 to 13 hexadecimal digits is refused, and the number is exact', () => {
  fc.assert(
    fc.property(hexDigits, (digits) => {
      const { fault, out } = chunked(`${digits}\r\n${'x'.repeat(9)}`);
      assert.equal(fault, digits.length > 13 ? FAULT.chunkSize : fault);
      const size = Number.parseInt(digits, 16);
      if (digits.length <= 13 && size >= 9) assert.deepEqual([fault, out], [null, `${digits}\r\n${'x'.repeat(9)}`]);
    }),
    { numRuns: 500 },
  );
});

test('the largest size is counted down exactly', () => {
  const body = new BodyReader();
  body.begin(BODY.chunked, 0, false);
  let taken = 0;
  const sink = (_: Buffer, start: number, end: number) => {
    taken += end - start;
  };
  const head = Buffer.from('fffffffffffff\r\nab');
  assert.equal(body.read(head, 0, head.length, sink), head.length);
  assert.deepEqual([taken, body.done, body.fault], [2, false, null]);
});

test('the extensions of a message may be as long as their limit together and no longer', () => {
  // the CR that ends them is counted
  const chunk = (bytes: number) => `1;${'a'.repeat(bytes - 1)}\r\nx\r\n`;
  assert.equal(chunked(chunk(8192)).fault, null);
  assert.equal(chunked(chunk(8193)).fault, FAULT.chunkExtension);
  assert.equal(chunked(chunk(4096) + chunk(4096)).fault, null);
  assert.equal(chunked(chunk(4096) + chunk(4097)).fault, FAULT.chunkExtension);
});

test('a trailer section may be as long as its limit and no longer', () => {
  const trailer = (bytes: number) => `0\r\nX: ${'a'.repeat(bytes - 'X: \r\n\r\n'.length)}\r\n\r\n`;
  assert.equal(chunked(trailer(8192)).done, true);
  assert.equal(chunked(trailer(8193)).fault, FAULT.trailer);
});

test('there may be 64 trailer fields and no more', () => {
  assert.equal(chunked(`0\r\n${'A: b\r\n'.repeat(64)}\r\n`).done, true);
  assert.equal(chunked(`0\r\n${'A: b\r\n'.repeat(65)}\r\n`).fault, FAULT.trailer);
});

test('a reader begins anew after a fault and within a chunk', () => {
  const body = new BodyReader();
  const feed = (text: string) => {
    let out = '';
    const bytes = Buffer.from(text, 'latin1');
    body.read(bytes, 0, bytes.length, (b, s, e) => {
      out += b.toString('latin1', s, e);
    });
    return out;
  };
  for (const broken of ['5\r\nhel', '123', '5;a="', '0\r\nX: y', 'x', '5\r\nhello', '0\r\n\r']) {
    body.begin(BODY.chunked, 0, true);
    feed(broken);
    body.begin(BODY.chunked, 0, true);
    assert.equal(feed('1\r\na\r\n0\r\nA: b\r\n\r\n'), '1\r\na\r\n0\r\nA: b\r\n\r\n', broken);
    assert(body.done && body.fault === null);
    body.begin(BODY.length, 3, true);
    assert.equal(feed('abcd'), 'abc');
  }
});

test('without the framing, the content of all chunks in a read goes on at once', () => {
  const body = new BodyReader();
  body.begin(BODY.chunked, 0, false);
  const bytes = Buffer.from(`${'1\r\nx\r\n'.repeat(1000)}0\r\n\r\n`);
  const pieces: string[] = [];
  body.read(bytes, 0, bytes.length, (b, start, end) => pieces.push(b.toString('latin1', start, end)));
  assert.deepEqual([pieces, body.done, body.contentBytes], [['x'.repeat(1000)], true, 1000]);
});
