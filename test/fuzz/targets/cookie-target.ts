/** The affinity cookie against CGI::Cookie itself, where perl has it. Test support. */

import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { askPeer, expected, find, hostileHeader, peerMissing } from '../../affinity/cookie-peer.ts';
import { mutateBytes } from '../byte-mutations.ts';
import { Random } from '../random.ts';
import type { CaseVerdict, FuzzCase, FuzzTarget } from '../target.ts';

const BATCH = 2_000;

export class CookieTarget implements FuzzTarget {
  readonly #isMissing = peerMissing() !== false;

  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return fc.sample(hostileHeader(), { seed: random.next() | 0, numRuns: BATCH }).map((header) => {
      const bytes = Buffer.from(header, 'latin1');
      const mutated = random.below(2) === 0 ? bytes : mutateBytes(bytes, random, 1 + random.below(2));
      return { target: 'cookie', tag: 'header', bytes: Buffer.from(mutated.map(fieldByte)) };
    });
  }

  async check(cases: readonly FuzzCase[]): Promise<CaseVerdict[]> {
    const headers = cases.map(({ bytes }) => bytes.toString('latin1'));
    const values = this.#isMissing ? null : askPeer(headers);
    return headers.map((header, i) => {
      const found = find(header);
      const name = typeof found === 'string' ? found : 'an id';
      if (values === null) return { messages: 1, classes: { [`${name}, and no perl to ask`]: 1 }, difference: null };
      const theirs = expected(values[i] ?? null);
      const difference = isDeepStrictEqual(found, theirs)
        ? null
        : `CGI::Cookie: ${JSON.stringify(theirs)}, ours ${JSON.stringify(found)}`;
      return { messages: 1, classes: { [name]: 1 }, difference };
    });
  }

  async close(): Promise<void> {}
}

/** No field value holds control characters. */
function fieldByte(byte: number): number {
  return (byte < 0x20 && byte !== 0x09) || byte === 0x7f ? 0x25 : byte;
}
