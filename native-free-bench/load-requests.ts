/**
 * Load by autocannon on kept connections, a process of its own: `load-requests.ts LOAD`, LOAD as JSON (RequestLoad). Tells
 * by IPC when the time that counts begins and ends, and the result (see measured.ts).
 */

import { setTimeout as sleep } from 'node:timers/promises';
import autocannon from 'autocannon';
import type { LoadMessage, RequestLoad } from './load.ts';

const SAMPLE_MS = 50;
const LOOK_MS = 10;
/** For every connection to be opened and answered once. */
const OPEN_MAX_MS = 20_000;

const load = JSON.parse(process.argv[2] as string) as RequestLoad;
const { url, connections, leadMs, forMs, cookies, uploadBytes } = load;
const tell = (message: LoadMessage) => process.send?.(message);
let answered = 0;
let bytes = 0;
let next = 0;
const instance = autocannon({
  url,
  connections,
  duration: OPEN_MAX_MS + leadMs + forMs,
  sampleInt: SAMPLE_MS,
  method: uploadBytes > 0 ? 'POST' : 'GET',
  ...(uploadBytes > 0 ? { body: Buffer.alloc(uploadBytes, 'x') } : {}),
  // a client comes back with its own cookie
  setupClient: (client) => {
    if (cookies.length > 0) client.setHeaders({ cookie: cookies[next++ % cookies.length] as string });
  },
});
instance.on('response', (_client: unknown, _status: number, responseBytes: number) => {
  answered++;
  bytes += responseBytes;
});
await sleep(leadMs);
// what opening them costs is not the requests'
const latest = performance.now() + OPEN_MAX_MS;
while (answered < connections && performance.now() < latest) await sleep(LOOK_MS);
tell({ kind: 'begin', done: answered });
await sleep(forMs);
tell({ kind: 'end', done: answered });
instance.stop();
const { errors, non2xx, latency } = await instance;
tell({
  kind: 'result',
  faults: [
    ...(errors > 0 ? [`${errors} errors`] : []),
    ...(non2xx > 0 ? [`${non2xx} answers other than 2xx`] : []),
    ...(bytes < answered * load.answerBytes ? ['answers that were too short'] : []),
  ],
  latency: { p50: latency.p50, p99: latency.p99 },
});
process.disconnect?.();
