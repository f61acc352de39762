/** Damage to bytes that hold lengths and types. Test support. */

import type { Random } from './random.ts';

const ODD_BYTES = [
  0x00, 0x01, 0x7f, 0x80, 0x81, 0x90, 0xc0, 0xc1, 0xc4, 0xc7, 0xcb, 0xcf, 0xd3, 0xdb, 0xdd, 0xdf, 0xff,
];

const MUTATIONS: readonly ((bytes: Buffer, random: Random) => Buffer)[] = [
  function flipBit(bytes, random) {
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    return bytes;
  },
  function setByte(bytes, random) {
    bytes[random.below(bytes.length)] = random.below(2) === 0 ? random.pick(ODD_BYTES) : random.below(256);
    return bytes;
  },
  function nearNumber(bytes, random) {
    const at = random.below(bytes.length);
    bytes[at] = ((bytes[at] as number) + random.pick([1, 2, 255, 254])) & 0xff;
    return bytes;
  },
  function insert(bytes, random) {
    const at = random.below(bytes.length + 1);
    const part = Buffer.alloc(1 + random.below(random.pick([1, 8, 300])), random.pick(ODD_BYTES));
    return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at)]);
  },
  function remove(bytes, random) {
    const at = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.below(random.pick([1, 8, 300])))]);
  },
  function duplicate(bytes, random) {
    const at = random.below(bytes.length);
    const end = at + 1 + random.below(random.pick([4, 64, bytes.length]));
    return Buffer.concat([bytes.subarray(0, end), bytes.subarray(at)]);
  },
  function move(bytes, random) {
    const [from, to] = [random.below(bytes.length), random.below(bytes.length)];
    const part = Buffer.from(bytes.subarray(from, from + 1 + random.below(32)));
    part.copy(bytes, to);
    return bytes;
  },
  function truncate(bytes, random) {
    return bytes.subarray(0, random.below(bytes.length + 1));
  },
];

/** A copy of `bytes` with `count` mutations. */
export function mutateBytes(bytes: Uint8Array, random: Random, count: number): Buffer {
  let mutated = Buffer.from(bytes);
  for (let i = 0; i < count && mutated.length > 0; i++) {
    mutated = Buffer.from(random.pick(MUTATIONS)(mutated, random));
  }
  return mutated;
}
