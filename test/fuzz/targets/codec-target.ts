/**
 * The frames and messages of peers as bytes: reading them never throws and holds no more than came; what is read is what was
 * sent, however it was cut. Test support.
 */

import { isDeepStrictEqual } from 'node:util';
import { encode } from '@msgpack/msgpack';
import { FrameReader, frame } from '../../../src/cluster/frames.ts';
import { HELLO_BYTES_MAX } from '../../../src/cluster/limits.ts';
import { decodeFrame, encodeFrame, type OwnFrame } from '../../../src/cluster/peer-codec.ts';
import { mutateBytes } from '../byte-mutations.ts';
import { hostileFrame, type Victim } from '../hostile-messages.ts';
import { Random } from '../random.ts';
import { type CaseVerdict, checkEach, type FuzzCase, type FuzzTarget } from '../target.ts';

const BATCH = 256;
const LIMIT_BYTES = 256 * 1024;
const VICTIM: Victim = {
  ...{ from: '3.c', to: '1.a', cluster: '1.ab', term: 5, lastIndex: 20, lastTerm: 5, commit: 18 },
  members: ['1.a', '2.b', '3.c'],
};

export class CodecTarget implements FuzzTarget {
  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return Array.from({ length: BATCH }, () => {
      const frames = Array.from({ length: 1 + random.below(4) }, () => {
        const bytes = encode(hostileFrame(random, VICTIM));
        return frame(random.below(3) === 0 ? mutateBytes(bytes, random, 1 + random.below(3)) : bytes);
      });
      const stream = Buffer.concat(frames);
      const bytes = random.below(3) === 0 ? mutateBytes(stream, random, 1 + random.below(2)) : stream;
      return { target: 'codec', tag: 'stream', bytes };
    });
  }

  check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<readonly CaseVerdict[]> {
    return checkEach(cases, about, ({ bytes }) => checkOne(bytes));
  }

  async close(): Promise<void> {}
}

function checkOne(bytes: Buffer): CaseVerdict {
  const classes: Record<string, number> = {};
  const whole = readFrames(bytes, [bytes.length]);
  const random = new Random(bytes.length);
  const sizes = Array.from({ length: 8 }, () => 1 + random.below(random.pick([4, 100, 5_000])));
  if (!isDeepStrictEqual(readFrames(bytes, sizes), whole)) return verdict(classes, `cut: in pieces of ${sizes.join()}`);
  for (const each of whole) {
    const read = each === 'oversized' ? null : decodeFrame(each);
    const name = each === 'oversized' ? each : read === null ? 'no message' : read.type;
    classes[name] = (classes[name] ?? 0) + 1;
    if (read === null || read.type === 'other-hello') continue;
    const again = decodeFrame(encodeFrame(read as OwnFrame));
    if (!isDeepStrictEqual(again, read)) return verdict(classes, `not the same again: ${JSON.stringify(read)}`);
    const wrong = wrongIn(read);
    if (wrong !== null) return verdict(classes, `let through: ${wrong} in ${JSON.stringify(read).slice(0, 300)}`);
  }
  return verdict(classes, null);
}

function readFrames(stream: Buffer, sizes: readonly number[]): (Buffer | 'oversized')[] {
  const reader = new FrameReader(HELLO_BYTES_MAX);
  const frames: (Buffer | 'oversized')[] = [];
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const size = sizes[turn % sizes.length] as number;
    reader.push(stream.subarray(at, at + size));
    at += size;
    for (let next = reader.next(); next !== null; next = reader.next()) {
      frames.push(next === 'oversized' ? next : Buffer.from(next));
      if (next === 'oversized') return frames;
      reader.raiseLimit(LIMIT_BYTES);
    }
  }
  return frames;
}

/** No number that is no count, and no list that is longer than lists may be: whatever the schema says. */
function wrongIn(value: unknown): string | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? null : String(value);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return null;
  const inner = Object.values(value);
  if (inner.length > 1_024) return `${inner.length} values`;
  for (const each of inner) {
    const wrong = wrongIn(each);
    if (wrong !== null) return wrong;
  }
  return null;
}

function verdict(classes: Record<string, number>, difference: string | null): CaseVerdict {
  const messages = Object.values(classes).reduce((sum, count) => sum + count, 0);
  return { messages, classes, difference };
}
