/** TLS servers for the tests of the probes: of which keys and versions, a test says. They say nothing and ask nothing. */

import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import type { ProbeTarget } from '../../src/control/resumption-probe.ts';
import { createAuthority } from '../cluster/certificates.ts';

export const SHARED_KEYS = Buffer.alloc(48, 'shared');
export const OTHER_KEYS = Buffer.alloc(48, 'other');

const { certificate: cert, key } = createAuthority().issue('/CN=localhost');

export interface TlsServer {
  readonly target: ProbeTarget;
  readonly server: tls.Server;
  /** The SNI name of each connection, false where there was none. */
  readonly names: (string | false)[];
  close(): Promise<void>;
}

/** With the shared keys, unless `options` says otherwise. */
export async function startTlsServer(t: TestContext, options: tls.TlsOptions = {}): Promise<TlsServer> {
  const names: (string | false)[] = [];
  const sockets = new Set<tls.TLSSocket>();
  const all = { cert, key, ticketKeys: SHARED_KEYS, sessionIdContext: 'test', ...options };
  const server = tls.createServer(all, (socket) => {
    names.push(socket.servername ?? false);
    sockets.add(socket);
    socket.on('error', () => {});
    socket.resume();
  });
  const target = await listen(server);
  const close = async () => {
    if (!server.listening) return;
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  };
  t.after(close);
  return { target, server, names, close };
}

/** Accepts, and says nothing. The promises are of its first connection. */
export async function startSilentServer(
  t: TestContext,
): Promise<{ target: ProbeTarget; connected: Promise<void>; ended: Promise<void> }> {
  const [connection, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const server = net.createServer((socket) => {
    connection.resolve();
    socket.on('error', () => {}).on('close', () => end.resolve());
    socket.resume();
  });
  t.after(() => server.close());
  return { target: await listen(server), connected: connection.promise, ended: end.promise };
}

async function listen(server: net.Server): Promise<ProbeTarget> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { host: '127.0.0.1', port: (server.address() as net.AddressInfo).port };
}
