/** What the programs in this folder share: what they are told, their server, and which node a request goes to. */

import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { COOKIE_NAME, type Node } from '../subjects/subject.ts';

const IDLE_TIMEOUT_MS = 300_000;

export interface WaySetting {
  readonly port: number;
  /** null: plain. */
  readonly tls: { readonly certificateFile: string; readonly keyFile: string } | null;
  readonly nodes: readonly Node[];
}

/** What is read of a request, whichever server it came by. */
interface Asked {
  readonly headers: http.IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

/** From the command line. */
export const setting = JSON.parse(process.argv[2] as string) as WaySetting;
const COOKIE = new RegExp(`(?:^|; )${COOKIE_NAME}=([0-9a-f]{40})`);

/** Certificate and key; null: plain. */
export function tlsOptions(): { cert: Buffer; key: Buffer } | null {
  if (setting.tls === null) return null;
  return { cert: readFileSync(setting.tls.certificateFile), key: readFileSync(setting.tls.keyFile) };
}

/** Listens, and answers with `handle`. */
export function serve(handle: http.RequestListener): void {
  const options = { keepAliveTimeout: IDLE_TIMEOUT_MS };
  const tls = tlsOptions();
  const server = tls === null ? http.createServer(options, handle) : https.createServer({ ...options, ...tls }, handle);
  server.listen({ port: setting.port, host: '127.0.0.1', backlog: 4_096 });
}

/** What `make` makes of each node, chosen by the cookie; the first where there is none. */
export function byCookie<T>(make: (node: Node) => T): (request: Pick<Asked, 'headers'>) => T {
  const all = new Map(setting.nodes.map((node) => [node.id, make(node)]));
  const first = all.values().next().value as T;
  return (request) => all.get(COOKIE.exec(request.headers.cookie ?? '')?.[1] ?? '') ?? first;
}

/** The request's headers as the node gets them, with those that tell of the client. */
export function forwardedHeaders(request: Asked): http.IncomingHttpHeaders {
  return {
    ...withoutHopByHop(request.headers),
    'x-forwarded-for': request.socket.remoteAddress ?? '',
    'x-forwarded-proto': setting.tls === null ? 'http' : 'https',
  };
}

/** What one connection says to its own other end is not passed on. */
export function withoutHopByHop(headers: http.IncomingHttpHeaders): http.IncomingHttpHeaders {
  const { connection, 'keep-alive': keepAlive, 'transfer-encoding': codings, ...kept } = headers;
  return kept;
}

/** Ends the answer where it has begun already. */
export function answerBadGateway(response: http.ServerResponse): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(502).end();
}
