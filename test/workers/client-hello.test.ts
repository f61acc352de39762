/** What a ClientHello asks for: every split, every fragmentation, every malformation, and real clients' hellos. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ClientHello, HELLO, HELLO_BYTES_MAX, type HelloOutcome } from '../../workers/client-hello.ts';
import { extension, hello, records, SERVER_NAME, SUPPORTED_VERSIONS, serverName, versions } from './hello-bytes.ts';
import { helloOf } from './tls-harness.ts';

const HELLO_13 = hello([serverName('www.example'), versions(0x0304, 0x0303)]);

test('the server name and the versions of a whole hello are read', () => {
  assert.deepEqual(read(records(HELLO_13)), [HELLO.whole, 'www.example', true]);
  assert.deepEqual(read(records(hello([serverName('a.b')]))), [HELLO.whole, 'a.b', false]);
  assert.deepEqual(read(records(hello([versions(0x0303, 0x0302)]))), [HELLO.whole, '', false]);
  assert.deepEqual(read(records(hello([versions(0x0a0a, 0x0304)]))), [HELLO.whole, '', true]);
  assert.deepEqual(read(records(hello([extension(10, Buffer.from([0, 2, 0, 29]))]))), [HELLO.whole, '', false]);
});

test('a hello without extensions, as before TLS 1.2, asks for nothing', () => {
  assert.deepEqual(read(records(hello(null))), [HELLO.whole, '', false]);
  assert.deepEqual(read(records(hello([]))), [HELLO.whole, '', false]);
});

test('names are lowered, and lose a trailing dot; a name with bytes that no host has counts as none', () => {
  const cases = [
    ['WWW.Example', 'www.example'],
    ['www.example.', 'www.example'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['_a.example', '_a.example'],
    ['127.0.0.1', '127.0.0.1'],
    ['a b', ''],
    ['a\0b', ''],
    ['a/b', ''],
    ['[::1]', ''],
    ['b\xfccher.example', ''],
    ['*.example', ''],
    ['.', ''],
  ] as const;
  for (const [sent, expected] of cases) {
    assert.deepEqual(read(records(hello([serverName(sent), versions(0x0304)]))), [HELLO.whole, expected, true], sent);
  }
});

test('at every split point the first part is incomplete, and the whole is read the same', () => {
  const bytes = records(HELLO_13);
  for (let end = 0; end < bytes.length; end++) {
    assert.deepEqual(read(bytes.subarray(0, end)), [HELLO.incomplete, '', false], `at ${end}`);
  }
  assert.equal(read(bytes)[0], HELLO.whole);
});

test('cut into records at every point, the hello is the same, and incomplete until the last byte', () => {
  for (let at = 1; at < HELLO_13.length; at++) {
    const bytes = records(HELLO_13.subarray(0, at), HELLO_13.subarray(at));
    assert.deepEqual(read(bytes), [HELLO.whole, 'www.example', true], `at ${at}`);
    for (const end of [5 + at, 5 + at + 1, 5 + at + 4, 5 + at + 5, bytes.length - 1]) {
      assert.equal(read(bytes.subarray(0, end))[0], HELLO.incomplete, `at ${at}, ${end} bytes`);
    }
  }
});

test('however many reads a hello of many records comes in, its bytes are gathered once', () => {
  const pieces = Array.from({ length: 50 }, (_, i) => HELLO_13.subarray(2 * i, i === 49 ? undefined : 2 * i + 2));
  const bytes = records(...pieces);
  let copies = 0;
  const subarray = bytes.subarray.bind(bytes);
  bytes.subarray = (...range) => {
    copies += 1;
    return subarray(...range);
  };
  const parser = new ClientHello();
  for (let end = 0; end < bytes.length; end++) assert.equal(parser.read(bytes, end), HELLO.incomplete, `at ${end}`);
  assert.equal(copies, 0);
  assert.equal(parser.read(bytes, bytes.length), HELLO.whole);
  assert.deepEqual([parser.serverName, copies], ['www.example', pieces.length]);
});

test("bytes behind the hello do not matter: the next records are OpenSSL's", () => {
  for (const rest of ['\x14\x03\x03\x00\x01\x01', '\x17\x03\x03', 'garbage', '\x16\x03\x03\x00\x04\x0e\x00\x00\x00']) {
    const bytes = Buffer.concat([records(HELLO_13), Buffer.from(rest, 'latin1')]);
    assert.deepEqual(read(bytes), [HELLO.whole, 'www.example', true], JSON.stringify(rest));
  }
});

test('what does not begin as a handshake record is not TLS, from the first byte that shows it', () => {
  const whole = records(HELLO_13);
  for (const [index, bytes] of [
    [0, [0x15, 0x17, 0x80, 0x00, 0x47]],
    [1, [0x00, 0x02, 0x04]],
  ] as const) {
    for (const byte of bytes) {
      const changed = Buffer.from(whole);
      changed[index] = byte;
      assert.equal(read(changed.subarray(0, index + 1))[0], HELLO.notTls);
      assert.equal(read(changed)[0], HELLO.notTls);
    }
  }
  for (const length of [0, (1 << 14) + 1, 0xffff]) {
    const changed = Buffer.from(whole);
    changed.writeUInt16BE(length, 3);
    assert.equal(read(changed.subarray(0, 5))[0], HELLO.notTls);
  }
  assert.equal(read(Buffer.from('GET / HTTP/1.1\r\n\r\n'))[0], HELLO.notTls);
});

test("a first message that is no hello is OpenSSL's to refuse", () => {
  for (const type of [0, 2, 16, 255]) {
    const message = Buffer.from(HELLO_13);
    message[0] = type;
    assert.deepEqual(read(records(message).subarray(0, 6)), [HELLO.whole, '', false]);
  }
});

test("a hello that breaks off into other records is OpenSSL's to refuse", () => {
  const begun = records(HELLO_13.subarray(0, 20));
  for (const next of [0x14, 0x15, 0x17, 0x47]) {
    assert.deepEqual(read(Buffer.concat([begun, Buffer.from([next])])), [HELLO.whole, '', false]);
  }
  assert.deepEqual(read(Buffer.concat([begun, Buffer.from([22, 3, 3, 0, 0])])), [HELLO.whole, '', false]);
});

test('more than the bound, or more records than it, is not TLS', () => {
  const length = Buffer.from([1, 0, 0, 0]);
  length.writeUIntBE(HELLO_BYTES_MAX + 1, 1, 3);
  assert.equal(read(records(length))[0], HELLO.notTls);
  const huge = hello([extension(21, Buffer.alloc(60_000)), serverName('a.b')]);
  const pieces = Array.from({ length: 5 }, (_, i) => huge.subarray(i * 16_000, (i + 1) * 16_000)).filter(
    (p) => p.length,
  );
  assert.deepEqual(read(records(...pieces)), [HELLO.whole, 'a.b', false]);
  const crumbs = Array.from(HELLO_13, (byte) => Buffer.from([byte]));
  assert.ok(crumbs.length > 64);
  assert.equal(read(records(...crumbs.slice(0, 64)))[0], HELLO.incomplete);
  assert.equal(read(records(...crumbs))[0], HELLO.notTls);
});

test('a length that lies, anywhere in the hello, makes it ask for nothing', () => {
  const message = hello([serverName('www.example'), versions(0x0304)]);
  const at = lengthFields(message);
  for (const [name, index, size] of at) {
    const length = message.readUIntBE(index, size);
    for (const lie of [0, length - 1, length + 1, 0xff, 2 ** (8 * size) - 1]) {
      if (lie === length || lie < 0) continue;
      const changed = Buffer.from(message);
      changed.writeUIntBE(lie, index, size);
      const [outcome, found] = read(records(changed));
      assert.equal(outcome, HELLO.whole, `${name} ${lie}`);
      assert.equal(found, '', `${name} ${lie}`);
    }
  }
});

test('malformed lists of names and of versions make the hello ask for nothing', () => {
  const name = (bytes: string) => extension(SERVER_NAME, Buffer.from(bytes, 'latin1'));
  const version = (bytes: string) => extension(SUPPORTED_VERSIONS, Buffer.from(bytes, 'latin1'));
  for (const malformed of [
    name(''),
    name('\0'),
    name('\0\0'),
    name('\0\x04\x01\0\x01a'),
    name('\0\x03\0\0\0'),
    name('\0\x04\0\0\x01ab'),
    name('\0\x08\0\0\x01a\0\0\x01b'),
    version(''),
    version('\0\0'),
    version('\x01\x03'),
    version('\x03\x03\x04\x03'),
    version('\x04\x03\x04'),
  ]) {
    const asked = [malformed, serverName('a.b'), versions(0x0304)];
    for (const extensions of [asked, asked.toReversed()]) {
      assert.deepEqual(read(records(hello(extensions))), [HELLO.whole, '', false], malformed.toString('hex'));
    }
  }
});

test('random bytes, random changes and random cuts: never an exception, and never a name that is no name', () => {
  const isSane = ([outcome, name]: Reading) => {
    assert.match(name, /^[a-z0-9._-]{0,255}$/);
    if (outcome !== HELLO.whole) assert.equal(name, '');
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => isSane(read(Buffer.from(bytes)))));
  const change = fc.record({ index: fc.nat(), byte: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 6 }), fc.nat(), (changes, cut) => {
      const bytes = records(HELLO_13);
      for (const { index, byte } of changes) bytes[index % bytes.length] = byte;
      isSane(read(bytes.subarray(0, cut % (bytes.length + 1))));
    }),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }), (sizes) => {
      const pieces: Buffer[] = [];
      let at = 0;
      for (const size of sizes) {
        if (at < HELLO_13.length) pieces.push(HELLO_13.subarray(at, at + size));
        at += size;
      }
      if (at < HELLO_13.length) pieces.push(HELLO_13.subarray(at));
      assert.deepEqual(read(records(...pieces)), [HELLO.whole, 'www.example', true]);
    }),
  );
});

test('hellos of a real client are read', async () => {
  for (const [options, expected] of [
    [{ servername: 'Www.Example' }, ['www.example', true]],
    [{ servername: 'a.example', maxVersion: 'TLSv1.2' }, ['a.example', false]],
    [{ minVersion: 'TLSv1.3', ecdhCurve: 'X25519' }, ['', true]],
  ] as const) {
    const bytes = await helloOf(options);
    assert.deepEqual(read(bytes), [HELLO.whole, ...expected]);
    for (let end = 0; end < bytes.length; end++) assert.equal(read(bytes.subarray(0, end))[0], HELLO.incomplete);
  }
});

type Reading = [outcome: HelloOutcome, serverName: string, offersTls13: boolean];

const reader = new ClientHello();

function read(bytes: Buffer): Reading {
  // what lies behind the end must not be looked at
  const larger = Buffer.concat([bytes, Buffer.alloc(64, 0xff)]);
  const outcome = reader.read(larger, bytes.length);
  return [outcome, reader.serverName, reader.offersTls13];
}

/** Where the lengths stand in a hello with the two extensions. */
function lengthFields(message: Buffer): readonly (readonly [name: string, index: number, bytes: number])[] {
  const session = 4 + 34;
  const suites = session + 1 + 32;
  const compression = suites + 2 + 4;
  const extensions = compression + 1 + 1;
  const name = extensions + 2;
  assert.equal(message.readUInt16BE(name), SERVER_NAME);
  return [
    ['session id', session, 1],
    ['cipher suites', suites, 2],
    ['compression methods', compression, 1],
    ['extensions', extensions, 2],
    ['server name extension', name + 2, 2],
    ['list of names', name + 4, 2],
    ['name', name + 7, 2],
  ];
}
