/** However a stream is cut into pieces, its reading is the same: RFC 9112 knows no packets. Test support. */

import { crc32 } from 'node:zlib';
import type { HeadLimits } from '../../workers/http1/message-head.ts';
import { feedInPieces, OwnRequests, OwnResponses } from './own-reading.ts';
import { Random } from './random.ts';

export interface Reading {
  readonly fault: string | null;
  readonly isFaultInBody: boolean;
  readonly messages: readonly { framed: string; content: string; end: number }[];
}

/** `at`: where the bytes are cut. */
export function readRequestsAt(bytes: Buffer, at: readonly number[], limits?: HeadLimits): Reading {
  const reader = new OwnRequests(limits);
  feedInPieces(reader, bytes, at);
  return comparable(reader.settle());
}

export function readResponsesAt(bytes: Buffer, at: readonly number[], isHead: boolean, limits?: HeadLimits): Reading {
  const reader = new OwnResponses(isHead, limits);
  feedInPieces(reader, bytes, at);
  return comparable(reader.close());
}

/**
 * What differs between the whole stream and it in two to four pieces at random places; null: nothing. One stream in two
 * is looked at, always the same ones.
 */
export function splitDifference(isRequest: boolean, text: string, method: string): string | null {
  const bytes = Buffer.from(text, 'latin1');
  const random = new Random(crc32(bytes));
  if (random.below(2) === 0) return null;
  const at = Array.from({ length: 1 + random.below(3) }, () => random.below(bytes.length + 1));
  const read = (cuts: readonly number[]) =>
    JSON.stringify(isRequest ? readRequestsAt(bytes, cuts) : readResponsesAt(bytes, cuts, method === 'HEAD'));
  const [whole, inPieces] = [read([]), read(at)];
  return whole === inPieces ? null : `split: at ${at.join()} ${inPieces}, whole ${whole}`;
}

/**
 * What of a faulty body went on before the fault showed, and how far it was read, hangs on the pieces: the exchange is
 * over either way. All else must be equal.
 */
function comparable({ fault, isFaultInBody, messages }: Reading): Reading {
  const copies = messages.map((message) => ({ ...message }));
  const last = copies.at(-1);
  if (isFaultInBody && last !== undefined) Object.assign(last, { framed: '', end: 0 });
  return { fault, isFaultInBody, messages: copies };
}
