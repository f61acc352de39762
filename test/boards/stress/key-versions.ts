/**
 * The rings that the key board's stress test publishes: every word of a ring follows from its version, so that a reader can
 * say of any two words whether they belong together. Both sides of the stress test.
 */

import { type BoardKey, KEY_HALF, KEY_RECORD, STAGE_ACTIVE, STAGE_RETIRING } from '../../../src/boards/key-board.ts';

/** Words that the threads of the stress test share besides the board. */
export const CONTROL = { ready: 0, stop: 1, overtaken: 2, words: 3 } as const;
const KEYS_MIN = 2;
const KEYS_MAX = 40;
const KEY_WORDS = 12;

/** As many keys as the version says, one of which encrypts; each word of a key is the version. */
export function ringOf(version: number): { keys: BoardKey[]; encrypting: number } {
  const { count, encrypting } = shapeOf(version);
  const bytes = new Uint8Array(new Int32Array(KEY_WORDS).fill(version).buffer);
  const keys = Array.from({ length: count }, (_, i): BoardKey => {
    return { stage: i === encrypting ? STAGE_ACTIVE : STAGE_RETIRING, bytes };
  });
  return { keys, encrypting };
}

/** The version that the first word of the first key names; 0: there is no key. */
export function ofStamp(image: Int32Array): number {
  return image[KEY_HALF.words + KEY_RECORD.bytes] ?? 0;
}

/** What does not fit the one version that the copy names; null: all of it does. An empty ring is version 0. */
export function faultOf(image: Int32Array): string | null {
  const version = ofStamp(image);
  if (version === 0) return image[KEY_HALF.keys] === 0 ? null : 'keys without bytes';
  const { count, encrypting } = shapeOf(version);
  if (image[KEY_HALF.keys] !== count || image[KEY_HALF.encrypting] !== encrypting) {
    return `version ${version}, and a header of ${image.slice(0, 2).join()}`;
  }
  for (let i = 0; i < count; i++) {
    const record = KEY_HALF.words + i * KEY_RECORD.words;
    const stage = image[record + KEY_RECORD.stage];
    if (stage !== (i === encrypting ? STAGE_ACTIVE : STAGE_RETIRING))
      return `version ${version}, stage ${stage} of key ${i}`;
    const bytes = image.subarray(record + KEY_RECORD.bytes, record + KEY_RECORD.words);
    if (!bytes.every((word) => word === version)) return `version ${version}, and in key ${i} ${bytes.join()}`;
  }
  return null;
}

function shapeOf(version: number): { count: number; encrypting: number } {
  const count = KEYS_MIN + (version % (KEYS_MAX - KEYS_MIN));
  return { count, encrypting: version % count };
}
