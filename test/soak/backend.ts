/**
 * A backend of a soak, in a process of its own: `node backend.ts PORT`. It answers each path in a way that its client can
 * check, and fails as it is told over IPC.
 *
 *   /small/ID, /large/ID   a body made of ID            /post/ID   the digest of what was sent
 *   /sse/ID/COUNT          so many events, 100 ms apart  /health    for health checks; an Upgrade gets an echo
 */

import http from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { bodyOf, digestOf, eventText, LARGE_BYTES, SMALL_BYTES } from './bodies.ts';

export type BackendMode = 'normal' | 'refusing' | 'resetting' | 'trickling' | 'garbage' | 'trailing';

const HOST = '127.0.0.1';
const EVENT_MS = 100;
const TRICKLES = 10;
const TRICKLE_MS = 50;

const port = Number(process.argv[2]);
const node = `${HOST}:${port}`;
let mode: BackendMode = 'normal';

const server = http.createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
  request.on('error', () => {});
  response.on('error', () => {});
  void answer(request, response);
});
server.on('upgrade', (request, socket) => upgrade(request, socket));
server.on('clientError', (_error, socket) => socket.destroy());

process.on('message', (wanted: BackendMode) => {
  if (wanted === 'refusing') {
    server.close();
    server.closeIdleConnections();
  } else if (mode === 'refusing') server.listen(port, HOST);
  mode = wanted;
});
process.on('disconnect', () => process.exit(0));
server.listen(port, HOST, () => process.send?.({ type: 'listening' }));

async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const [, kind = '', id = '', count = ''] = (request.url ?? '').split('/');
  if (mode === 'garbage') request.socket.end('\x00\x01\xfe\xff garbage\r\n\r\n', 'latin1');
  else if (kind === 'health' || request.method === 'OPTIONS') response.end('well');
  else if (kind === 'small') await send(response, id, bodyOf(id, SMALL_BYTES));
  else if (kind === 'large') await send(response, id, bodyOf(id, LARGE_BYTES));
  else if (kind === 'post') await echoDigest(request, response, id);
  else if (kind === 'sse') await stream(response, id, Number(count));
  else {
    process.send?.({ type: 'violation', what: `${request.method} ${request.url} reached a backend` });
    response.writeHead(500).end();
  }
}

async function echoDigest(request: http.IncomingMessage, response: http.ServerResponse, id: string): Promise<void> {
  const parts: Buffer[] = [];
  try {
    for await (const part of request) parts.push(part as Buffer);
  } catch {
    return;
  }
  await send(response, id, Buffer.from(digestOf(Buffer.concat(parts))));
}

async function send(response: http.ServerResponse, id: string, body: Buffer): Promise<void> {
  const socket = response.socket;
  if (mode === 'trailing' && body.length <= SMALL_BYTES && response.req.method !== 'HEAD' && socket !== null) {
    // in one write: bytes that came later could be taken for the next answer by nobody's fault
    const head = `HTTP/1.1 200 OK\r\nX-Node: ${node}\r\nX-Id: ${id}\r\nContent-Length: ${body.length}\r\n\r\n`;
    const extra = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
    socket.end(Buffer.concat([Buffer.from(head), body, Buffer.from(extra)]));
    return;
  }
  response.writeHead(200, { 'X-Node': node, 'X-Id': id, 'Content-Length': body.length });
  if (mode === 'resetting' && response.req.method !== 'HEAD') {
    response.write(body.subarray(0, body.length >> 1), () => socket?.resetAndDestroy());
    return;
  }
  if (mode !== 'trickling') {
    response.end(body);
    return;
  }
  const step = Math.ceil(body.length / TRICKLES);
  for (let at = 0; at < body.length && !response.destroyed; at += step) {
    response.write(body.subarray(at, at + step));
    await sleep(TRICKLE_MS);
  }
  response.end();
}

async function stream(response: http.ServerResponse, id: string, count: number): Promise<void> {
  response.writeHead(200, { 'X-Node': node, 'X-Id': id, 'Content-Type': 'text/event-stream' });
  for (let i = 0; i < count && !response.destroyed; i++) {
    response.write(eventText(id, i));
    await sleep(EVENT_MS);
    if (mode === 'resetting') response.socket?.resetAndDestroy();
  }
  response.end();
}

function upgrade(request: http.IncomingMessage, socket: Duplex): void {
  socket.on('error', () => {});
  if (mode === 'garbage') {
    socket.end('garbage\r\n\r\n');
    return;
  }
  const [, , id = ''] = (request.url ?? '').split('/');
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\nX-Node: ${node}\r\nX-Id: ${id}\r\n\r\n`,
  );
  socket.pipe(socket);
}
