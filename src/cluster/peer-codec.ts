/**
 * What servers send each other, as bytes: MessagePack, and nothing that has not exactly the shape of a message comes out of
 * `decodeFrame`. Pure. Main thread.
 */

import { Decoder, encode } from '@msgpack/msgpack';
import { z } from 'zod';
import type { Entry, Membership, Message } from '../raft/types.ts';
import { serverOf } from './identity.ts';
import { ENTRIES_MAX, FRAME_BYTES_MAX, MEMBERS_MAX } from './limits.ts';
import type { Announce, PeerMessage, ServerId } from './types.ts';

export const PROTOCOL_VERSION = 1;

export const REASON_LENGTH_MAX = 256;

/** Strings other than a reason are shorter; its characters may take four bytes each. */
const STRING_BYTES_MAX = 4 * REASON_LENGTH_MAX;
/** frame, message, entries, entry, payload, membership, voters. */
const DEPTH_MAX = 7;
/** An append of ENTRIES_MAX commands has about 11 an entry. */
const VALUES_MAX = 65_536;

/** The first frame in each direction. */
export interface Hello {
  readonly type: 'hello';
  readonly version: typeof PROTOCOL_VERSION;
  readonly serverId: ServerId;
  /** Whom the sender believes to talk to. */
  readonly to: ServerId;
  /** Of a member of server `serverId`. */
  readonly announce: Announce;
}

/** What can be sent. */
export type OwnFrame = PeerMessage | Hello | { readonly type: 'ping' } | { readonly type: 'pong' };

export type Frame =
  | OwnFrame
  /** The hello of a program that speaks another version: of its shape nothing else is known. */
  | { readonly type: 'other-hello'; readonly version: number };

const count = z.int().min(0);
const serverId = z.int().min(1).max(2_147_483_647);
const memberId = z.string().regex(/^[1-9]\d{0,9}\.[a-z0-9]{1,32}$/);
const clusterId = z.string().regex(/^\d{1,10}\.[0-9a-f]{1,64}$/);
// copied, as what was decoded is a view of a buffer that is much larger
const bytes = z.instanceof(Uint8Array).transform((view) => new Uint8Array(view));
const position = z.strictObject({ generation: count, term: count, index: count });

const memberList = z
  .array(memberId)
  .max(MEMBERS_MAX)
  .refine((list) => list.every((id, i) => i === 0 || (list[i - 1] as string) < id));
const membership: z.ZodType<Membership> = z
  .strictObject({ voters: memberList, learners: memberList })
  .refine(({ voters, learners }) => !learners.some((id) => voters.includes(id)));

const entry: z.ZodType<Entry> = z.strictObject({
  index: count.min(1),
  term: count,
  payload: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('noop') }),
    z.strictObject({ kind: z.literal('command'), data: bytes }),
    z.strictObject({ kind: z.literal('membership'), membership }),
  ]),
});

const envelope = { from: memberId, to: memberId, term: count };
const raftMessage: z.ZodType<Message> = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('vote-request'),
    ...envelope,
    isPreVote: z.boolean(),
    isTransfer: z.boolean(),
    lastIndex: count,
    lastTerm: count,
  }),
  z.strictObject({ type: z.literal('vote-response'), ...envelope, isPreVote: z.boolean(), isGranted: z.boolean() }),
  z
    .strictObject({
      type: z.literal('append-request'),
      ...envelope,
      previousIndex: count,
      previousTerm: count,
      entries: z.array(entry).max(ENTRIES_MAX),
      commit: count,
    })
    .refine(({ previousIndex, entries }) => entries.every(({ index }, i) => index === previousIndex + 1 + i)),
  z.strictObject({
    type: z.literal('append-response'),
    ...envelope,
    isRejected: z.boolean(),
    index: count,
    hintIndex: count,
    hintTerm: count,
    applied: count,
  }),
  z.strictObject({
    type: z.literal('snapshot-request'),
    ...envelope,
    snapshot: z.strictObject({ index: count, term: count, membership, data: bytes }),
  }),
  z.strictObject({ type: z.literal('timeout-now'), ...envelope }),
]);

const announce = z
  .strictObject({
    type: z.literal('announce'),
    member: memberId,
    cluster: clusterId.nullable(),
    leader: memberId.nullable(),
    term: count,
    excludes: memberId.nullable(),
    position,
  })
  .refine(({ cluster, leader }) => cluster !== null || leader === null);

const hello = z
  .strictObject({ type: z.literal('hello'), version: z.literal(PROTOCOL_VERSION), serverId, to: serverId, announce })
  .refine((said) => serverOf(said.announce.member) === said.serverId);

const frameSchema: z.ZodType<OwnFrame> = z.discriminatedUnion('type', [
  announce,
  z.strictObject({ type: z.literal('raft'), cluster: clusterId, message: raftMessage }),
  z.strictObject({ type: z.literal('join'), cluster: clusterId, member: memberId }),
  z.strictObject({
    type: z.literal('join-refused'),
    member: memberId,
    reason: z.string().max(REASON_LENGTH_MAX),
  }),
  z.strictObject({ type: z.literal('found-request'), member: memberId, position }),
  z.strictObject({ type: z.literal('found-grant'), founder: memberId, member: memberId }),
  z.strictObject({ type: z.literal('propose'), cluster: clusterId, id: count, data: bytes }),
  z.strictObject({ type: z.literal('proposed'), id: count, index: count, term: count }),
  z.strictObject({ type: z.literal('propose-refused'), id: count }),
  hello,
  z.strictObject({ type: z.literal('ping') }),
  z.strictObject({ type: z.literal('pong') }),
]);
const otherHello = z.looseObject({ type: z.literal('hello'), version: count });

const decoder = new Decoder({
  maxStrLength: STRING_BYTES_MAX,
  maxBinLength: FRAME_BYTES_MAX,
  maxArrayLength: Math.max(ENTRIES_MAX, MEMBERS_MAX),
  maxMapLength: 16,
  maxExtLength: 0,
  // its cache, which all users of the package share, would be filled by peers
  keyDecoder: null,
});

/** Throws on what `decodeFrame` would refuse at the other end: that is our own mistake. */
export function encodeFrame(message: OwnFrame): Uint8Array {
  const { error } = frameSchema.safeParse(message);
  if (error) {
    const where = error.issues.map(({ path }) => path.join('.')).join(', ');
    throw new TypeError(`a ${message.type} is not as peers take it: ${where || 'as a whole'}`);
  }
  return encode(message);
}

/** Null: not a message, whatever it is. Never throws. What comes out shares no memory with `bytes`. */
export function decodeFrame(bytes: Uint8Array): Frame | null {
  if (!isModest(bytes)) return null;
  let value: unknown;
  try {
    value = decoder.decode(bytes);
  } catch {
    return null;
  }
  const { data } = frameSchema.safeParse(value);
  if (data !== undefined) return data;
  const other = otherHello.safeParse(value).data;
  return other === undefined || other.version === PROTOCOL_VERSION
    ? null
    : { type: 'other-hello', version: other.version };
}

/**
 * Whether `bytes` are one MessagePack value of bounded depth and size. The decoder knows no such bounds, and 16 MiB of
 * array heads inside each other would become gigabytes.
 */
function isModest(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** How many values are still to come, in each container that is open; the first stands for the whole. */
  const missing = [1];
  let offset = 0;
  for (let values = 0; missing.length > 0; values += 1) {
    if (values >= VALUES_MAX || offset >= bytes.length) return false;
    const head = headAt(view, offset);
    if (head === null || head.bytes > bytes.length - offset) return false;
    offset += head.bytes;
    missing[missing.length - 1] = (missing.at(-1) as number) - 1;
    if (head.children > 0) missing.push(head.children);
    while (missing.at(-1) === 0) missing.pop();
    if (missing.length - 1 > DEPTH_MAX) return false;
  }
  return offset === bytes.length;
}

/** What a value takes up without its children. Null: none that we write, or cut off. */
function headAt(view: DataView, offset: number): { bytes: number; children: number } | null {
  const type = view.getUint8(offset);
  if (type < 0x80 || type >= 0xe0 || type === 0xc0 || type === 0xc2 || type === 0xc3) return { bytes: 1, children: 0 };
  if (type < 0x90) return { bytes: 1, children: 2 * (type - 0x80) };
  if (type < 0xa0) return { bytes: 1, children: type - 0x90 };
  if (type < 0xc0) return { bytes: 1 + type - 0xa0, children: 0 };
  const number = NUMBER_BYTES[type];
  if (number !== undefined) return { bytes: 1 + number, children: 0 };
  const counted = COUNTED[type];
  if (counted === undefined || offset + 1 + counted.countBytes > view.byteLength) return null;
  const size = readCount(view, offset + 1, counted.countBytes);
  const bytes = 1 + counted.countBytes;
  return counted.childrenEach === 0
    ? { bytes: bytes + size, children: 0 }
    : { bytes, children: counted.childrenEach * size };
}

/** float 32 and 64, uint 8 to 64, int 8 to 64. */
const NUMBER_BYTES: Readonly<Record<number, number>> = {
  202: 4,
  203: 8,
  204: 1,
  205: 2,
  206: 4,
  207: 8,
  208: 1,
  209: 2,
  210: 4,
  211: 8,
};

/** bin, str, array and map with a count of 8, 16 or 32 bits. Extension types are left out on purpose. */
const COUNTED: Readonly<Record<number, { countBytes: 1 | 2 | 4; childrenEach: 0 | 1 | 2 }>> = {
  196: { countBytes: 1, childrenEach: 0 },
  197: { countBytes: 2, childrenEach: 0 },
  198: { countBytes: 4, childrenEach: 0 },
  217: { countBytes: 1, childrenEach: 0 },
  218: { countBytes: 2, childrenEach: 0 },
  219: { countBytes: 4, childrenEach: 0 },
  220: { countBytes: 2, childrenEach: 1 },
  221: { countBytes: 4, childrenEach: 1 },
  222: { countBytes: 2, childrenEach: 2 },
  223: { countBytes: 4, childrenEach: 2 },
};

function readCount(view: DataView, offset: number, countBytes: 1 | 2 | 4): number {
  if (countBytes === 1) return view.getUint8(offset);
  return countBytes === 2 ? view.getUint16(offset) : view.getUint32(offset);
}
