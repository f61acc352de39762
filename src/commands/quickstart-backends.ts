/**
 * The demo backends of `stekbal quickstart`: small servers that say who they are. A worker thread of their own, so that
 * the main thread carries no request.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { nodeHttp } from '../control/node-http.ts';

interface Backend {
  readonly host: string;
  readonly port: number;
  readonly address: string;
}

let answered = 0;

const listening = (workerData as Backend[]).map(({ host, port, address }) => {
  const server = nodeHttp().createServer((request, response) => {
    request.resume();
    if (request.url === '/health') {
      response.writeHead(204).end();
      return;
    }
    response.setHeader('Content-Type', 'text/plain; charset=utf-8');
    response.end(`backend ${address} answered ${request.method} ${request.url} (request ${++answered})\n`);
  });
  return new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
});

await Promise.all(listening);
parentPort?.postMessage('listening');
