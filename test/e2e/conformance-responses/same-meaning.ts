/** Whether two clients were told the same, though bodies may have reached them in other pieces. */

import { readAnswer } from './answer.ts';
import type { Seen } from './response-case.ts';

/**
 * The same head, content and end. Of a response that breaks off, one may have got more than the other: what is faulty in
 * it is found with the bytes that it comes with.
 */
export function isSameMeaning(a: Seen, b: Seen, method: string): boolean {
  if (a.bytes === b.bytes) return a.end === b.end;
  const [one, other] = [readAnswer(a.bytes, method, a.end), readAnswer(b.bytes, method, b.end)];
  const isSameHead = headsOf(a.bytes, one.head) === headsOf(b.bytes, other.head);
  if (!isSameHead || a.end !== b.end || one.isWhole !== other.isWhole) return false;
  if (one.isWhole) return one.content === other.content && a.bytes.length > one.past === b.bytes.length > other.past;
  return one.content.startsWith(other.content) || other.content.startsWith(one.content);
}

/** With the interim responses before it. */
function headsOf(bytes: string, head: string): string {
  return bytes.slice(0, bytes.indexOf(head) + head.length);
}
