/** Frames and messages: what was sent comes out, whatever the pieces; nothing else comes out, whatever comes in. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import fc from 'fast-check';
import { FrameReader, frame } from '../../src/cluster/frames.ts';
import { ENTRIES_MAX, FRAME_BYTES_MAX, HELLO_BYTES_MAX, MEMBERS_MAX } from '../../src/cluster/limits.ts';
import { decodeFrame, encodeFrame, type OwnFrame } from '../../src/cluster/peer-codec.ts';

const record = <T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record<T>(fields, { noNullPrototype: true });
const index = fc.maxSafeNat();
const server = fc.integer({ min: 1, max: 2_147_483_647 });
const member = fc
  .tuple(server, fc.stringMatching(/^[a-z0-9]{1,32}$/))
  .map(([id, incarnation]) => `${id}.${incarnation}`);
const cluster = fc.tuple(fc.nat(), fc.stringMatching(/^[0-9a-f]{1,64}$/)).map(([n, random]) => `${n}.${random}`);
const data = fc.uint8Array({ maxLength: 300 });
const position = record({ generation: index, term: index, index });
const membership = fc
  .tuple(fc.uniqueArray(member, { maxLength: 9 }), fc.nat(9))
  .map(([ids, split]) => ({ voters: ids.slice(0, split).sort(), learners: ids.slice(split).sort() }));
const payload = fc.oneof(
  record({ kind: fc.constant('noop' as const) }),
  record({ kind: fc.constant('command' as const), data }),
  record({ kind: fc.constant('membership' as const), membership }),
);
const envelope = { from: member, to: member, term: index };
const append = fc
  .tuple(fc.nat(), fc.array(record({ term: index, payload }), { maxLength: 8 }), record({ ...envelope, commit: index }))
  .map(([previousIndex, entries, rest]) => ({
    type: 'append-request' as const,
    ...rest,
    previousIndex,
    previousTerm: 1,
    entries: entries.map((entry, i) => ({ index: previousIndex + 1 + i, ...entry })),
  }));
const message = fc.oneof(
  append,
  record({
    type: fc.constant('vote-request' as const),
    ...envelope,
    isPreVote: fc.boolean(),
    isTransfer: fc.boolean(),
    lastIndex: index,
    lastTerm: index,
  }),
  record({
    type: fc.constant('vote-response' as const),
    ...envelope,
    isPreVote: fc.boolean(),
    isGranted: fc.boolean(),
  }),
  record({
    type: fc.constant('append-response' as const),
    ...envelope,
    isRejected: fc.boolean(),
    index,
    hintIndex: index,
    hintTerm: index,
    applied: index,
  }),
  record({
    type: fc.constant('snapshot-request' as const),
    ...envelope,
    snapshot: record({ index, term: index, membership, data }),
  }),
  record({ type: fc.constant('timeout-now' as const), ...envelope }),
);
const announceOf = (id: fc.Arbitrary<string>) =>
  record({
    type: fc.constant('announce' as const),
    member: id,
    cluster: fc.option(cluster),
    leader: fc.option(member),
    term: index,
    excludes: fc.option(member),
    position,
  }).map((said) => ({ ...said, leader: said.cluster === null ? null : said.leader }));
const hello = server.chain((serverId) =>
  record({
    type: fc.constant('hello' as const),
    version: fc.constant(1 as const),
    serverId: fc.constant(serverId),
    to: server,
    announce: announceOf(fc.constant(`${serverId}.a1`)),
  }),
);
const anyFrame: fc.Arbitrary<OwnFrame> = fc.oneof(
  hello,
  announceOf(member),
  record({ type: fc.constant('raft' as const), cluster, message }),
  record({ type: fc.constant('join' as const), cluster, member }),
  record({ type: fc.constant('join-refused' as const), member, reason: fc.string({ maxLength: 256 }) }),
  record({ type: fc.constant('found-request' as const), member, position }),
  record({ type: fc.constant('found-grant' as const), founder: member, member }),
  record({ type: fc.constant('propose' as const), cluster, id: index, data }),
  record({ type: fc.constant('proposed' as const), id: index, index, term: index }),
  record({ type: fc.constant('propose-refused' as const), id: index }),
  fc.constantFrom({ type: 'ping' as const }, { type: 'pong' as const }),
);

const APPEND = {
  type: 'append-request',
  from: '1.a',
  to: '2.b',
  term: 3,
  previousIndex: 4,
  previousTerm: 2,
  commit: 4,
} as const;

const isSame = (a: unknown, b: unknown) => {
  assert.deepStrictEqual(a, b);
  return true;
};

test('every message comes out as it went in', () => {
  fc.assert(fc.property(anyFrame, (sent) => isSame(decodeFrame(encodeFrame(sent)), sent)));
});

test('what comes out shares no memory with what came in', () => {
  fc.assert(
    fc.property(anyFrame, (sent) => {
      const bytes = encodeFrame(sent);
      const received = decodeFrame(bytes);
      bytes.fill(0);
      return isSame(received, sent);
    }),
  );
});

test('random bytes are no message, and do not throw', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodeFrame(bytes) === null));
});

test('a message that was tampered with is none, or one of the same shapes', () => {
  const mutation = record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }), cut: fc.nat(3), more: fc.nat(2) });
  fc.assert(
    fc.property(anyFrame, fc.array(mutation, { minLength: 1, maxLength: 4 }), (sent, mutations) => {
      let bytes = Buffer.from(encodeFrame(sent));
      for (const { at, byte, cut, more } of mutations) {
        bytes[at % bytes.length] = byte;
        bytes = Buffer.concat([bytes.subarray(0, Math.max(1, bytes.length - cut)), Buffer.alloc(more, byte)]);
      }
      const received = decodeFrame(bytes);
      if (received === null || received.type === 'other-hello') return true;
      return isSame(decodeFrame(encodeFrame(received)), received);
    }),
    { numRuns: 1000 },
  );
});

test('whatever else MessagePack can say is no message', () => {
  fc.assert(fc.property(fc.anything({ withTypedArray: false }), (value) => decodeFrame(encode(plain(value))) === null));
});

for (const [what, value] of Object.entries({
  'a field too many': { type: 'ping', more: 1 },
  'a field too few': { type: 'proposed', id: 1, index: 1 },
  'a negative index': { type: 'proposed', id: 1, index: -1, term: 1 },
  'an index beyond the safe integers': { type: 'proposed', id: 1, index: 2 ** 53, term: 1 },
  'an index that is no integer': { type: 'proposed', id: 1, index: 1.5, term: 1 },
  'a member without an incarnation': { type: 'found-grant', founder: '1.a', member: '1' },
  'a member whose server has a leading zero': { type: 'found-grant', founder: '1.a', member: '01.a' },
  'a cluster id with a line feed': { type: 'join', cluster: '1.a\n', member: '1.a' },
  'a reason without end': { type: 'join-refused', member: '1.a', reason: 'x'.repeat(257) },
  'text for bytes': { type: 'propose', cluster: '1.a', id: 1, data: 'text' },
  'a leader without a cluster': {
    type: 'announce',
    member: '1.a',
    cluster: null,
    leader: '1.a',
    excludes: null,
    position: { generation: 0, term: 0, index: 0 },
  },
  'a hello of one server in the name of another': {
    type: 'hello',
    version: 1,
    serverId: 2,
    to: 3,
    announce: {
      type: 'announce',
      member: '1.a',
      cluster: null,
      leader: null,
      excludes: null,
      position: { generation: 0, term: 0, index: 0 },
    },
  },
  'entries with a gap': raft({
    ...APPEND,
    entries: [5, 7].map((at) => ({ index: at, term: 1, payload: { kind: 'noop' } })),
  }),
  'voters out of order': withMembership({ voters: ['2.a', '1.a'], learners: [] }),
  'a voter twice': withMembership({ voters: ['1.a', '1.a'], learners: [] }),
  'a voter who is a learner too': withMembership({ voters: ['1.a'], learners: ['1.a'] }),
})) {
  test(`no message: ${what}`, () => {
    assert.equal(decodeFrame(encode(value)), null);
    assert.throws(() => encodeFrame(value as unknown as OwnFrame), TypeError);
  });
}

test('the hello of another version is known for that, whatever its shape', () => {
  const bytes = encode({ type: 'hello', version: 2, name: 'edge-1' });
  assert.deepEqual(decodeFrame(bytes), { type: 'other-hello', version: 2 });
  assert.equal(decodeFrame(encode({ type: 'hello', version: 1, name: 'edge-1' })), null);
});

test('the largest append and the largest membership get through', () => {
  const entries = Array.from({ length: ENTRIES_MAX }, (_, i) => ({
    index: 5 + i,
    term: 1,
    payload: { kind: 'command' as const, data: new Uint8Array(300) },
  }));
  const sent = raft({ ...APPEND, entries }) as OwnFrame;
  assert.deepStrictEqual(decodeFrame(encodeFrame(sent)), sent);
  const ids = (letter: string) => Array.from({ length: MEMBERS_MAX }, (_, i) => `${1000 + i}.${letter}`);
  const change = withMembership({ voters: ids('a'), learners: ids('b') }) as OwnFrame;
  assert.deepStrictEqual(decodeFrame(encodeFrame(change)), change);
});

for (const [what, bytes] of Object.entries({
  'arrays inside each other': Buffer.alloc(FRAME_BYTES_MAX, 0x91),
  'maps inside each other': Buffer.alloc(FRAME_BYTES_MAX, Buffer.from([0x81, 0xa1, 0x61])),
  'heads of long arrays inside each other': Buffer.alloc(FRAME_BYTES_MAX, Buffer.from([0xdc, 0x04, 0x00])),
  'an array of 4 billion': Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff, 0xc0]),
  'text of 4 GiB': Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff, 0x61]),
  'millions of small values': Buffer.concat([
    Buffer.from([0xdd, 0x00, 0xff, 0xff, 0xfb]),
    Buffer.alloc(FRAME_BYTES_MAX - 5),
  ]),
})) {
  test(`refused without the memory that it asks for: ${what}`, () => {
    const before = process.memoryUsage();
    assert.equal(decodeFrame(bytes), null);
    const after = process.memoryUsage();
    assert.ok(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers < 32 * 1024 * 1024);
  });
}

test('frames come out whole whatever the split point', () => {
  const sent = [Buffer.from('one'), Buffer.alloc(0), Buffer.alloc(300, 7)];
  const stream = Buffer.concat(sent.map((bytes) => frame(bytes)));
  for (let first = 0; first <= stream.length; first += 1) {
    for (const second of [first, first + 1, first + 5, stream.length]) {
      const chunks = [
        stream.subarray(0, first),
        stream.subarray(first, second),
        stream.subarray(Math.max(first, second)),
      ];
      assert.deepEqual(readAll(new FrameReader(HELLO_BYTES_MAX), chunks), sent);
    }
  }
  const bytewise = Array.from(stream, (byte) => Buffer.from([byte]));
  assert.deepEqual(readAll(new FrameReader(HELLO_BYTES_MAX), bytewise), sent);
});

test('frames come out whole whatever the chunks', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 2000 })),
      fc.array(fc.integer({ min: 1, max: 900 })),
      (sent, cuts) => {
        const stream = Buffer.concat(sent.map((bytes) => frame(bytes)));
        const chunks: Buffer[] = [];
        let offset = 0;
        for (const cut of cuts) {
          chunks.push(stream.subarray(offset, offset + cut));
          offset += cut;
        }
        chunks.push(stream.subarray(offset));
        return isSame(
          readAll(new FrameReader(HELLO_BYTES_MAX), chunks),
          sent.map((bytes) => Buffer.from(bytes)),
        );
      },
    ),
  );
});

test('a frame of exactly the limit is read, and one byte more is refused when its length has come', () => {
  const reader = new FrameReader(HELLO_BYTES_MAX);
  reader.push(frame(Buffer.alloc(HELLO_BYTES_MAX)));
  assert.equal((reader.next() as Uint8Array).length, HELLO_BYTES_MAX);
  reader.push(Buffer.from([0, 0, 0x10]));
  assert.equal(reader.next(), null);
  reader.push(Buffer.from([1]));
  assert.equal(reader.next(), 'oversized');
  assert.equal(reader.next(), 'oversized');
});

test('the limit can be raised between two frames of one chunk', () => {
  const reader = new FrameReader(8);
  reader.push(Buffer.concat([frame(Buffer.from('hello')), frame(Buffer.alloc(100))]));
  assert.equal((reader.next() as Uint8Array).length, 5);
  reader.raiseLimit(100);
  assert.equal((reader.next() as Uint8Array).length, 100);
  assert.equal(reader.next(), null);
});

test('the largest frame is read in time that grows with its length only, however small the pieces', () => {
  const reader = new FrameReader(FRAME_BYTES_MAX);
  const stream = frame(Buffer.alloc(FRAME_BYTES_MAX, 1));
  const started = performance.now();
  let whole: Uint8Array | 'oversized' | null = null;
  for (let offset = 0; offset < stream.length; offset += 64) {
    reader.push(stream.subarray(offset, offset + 64));
    whole = reader.next();
  }
  assert.equal((whole as Uint8Array).length, FRAME_BYTES_MAX);
  // a second at most; copying all anew for each piece would take an hour
  assert.ok(performance.now() - started < 20_000);
});

test('a length alone makes nobody allocate', () => {
  const before = process.memoryUsage().arrayBuffers;
  const readers = Array.from({ length: 100 }, () => new FrameReader(FRAME_BYTES_MAX));
  for (const reader of readers) {
    reader.push(Buffer.from([1, 0, 0, 0, 1]));
    assert.equal(reader.next(), null);
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 4 * 1024 * 1024);
});

function raft(message: object): object {
  return { type: 'raft', cluster: '1.ab', message };
}

function withMembership(membership: object): object {
  return raft({ ...APPEND, entries: [{ index: 5, term: 1, payload: { kind: 'membership', membership } }] });
}

function readAll(reader: FrameReader, chunks: readonly Buffer[]): Buffer[] {
  return chunks.flatMap((chunk) => {
    reader.push(chunk);
    const read: Buffer[] = [];
    for (let next = reader.next(); next !== null; next = reader.next()) read.push(Buffer.from(next as Uint8Array));
    return read;
  });
}

/** Without what MessagePack has no form for. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? Number(inner) : inner)) ?? 'null');
}
