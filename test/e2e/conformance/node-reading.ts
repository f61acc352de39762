/** Node's own parser as one more reader of what reached the backend. Test support. */

import { METHODS } from 'node:http';
import { RequestOracle } from '../../fuzz/llhttp-oracle.ts';
import type { Recorded } from './recording-backend.ts';

/** What llhttp reads otherwise on a connection than the strict reading; empty where nothing. */
export function llhttpComplaints({ bytes, requests }: Recorded): string[] {
  const oracle = new RequestOracle();
  const wrong: string[] = [];
  for (const [i, { request }] of requests.entries()) {
    const { method, target, body, start, end } = request;
    const text = bytes.slice(start, end);
    // llhttp knows registered methods alone: POST stands for the others
    oracle.feed(Buffer.from(METHODS.includes(method) ? text : `POST${text.slice(method.length)}`, 'latin1'));
    const read = oracle.messages[i];
    const isSame = read?.incoming.url === target && read.body === body && oracle.completeCount === i + 1;
    if (isSame && oracle.error === null) continue;
    wrong.push(
      `llhttp reads ${oracle.error?.reason ?? `${read?.incoming.url} ${read?.body}`}: ${JSON.stringify(text)}`,
    );
    break;
  }
  oracle.close();
  return wrong;
}
