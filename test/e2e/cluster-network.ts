/** Ports for the processes of a test cluster, and requests to their admin sockets. */

import http from 'node:http';
import net from 'node:net';

export const HOST = '127.0.0.1';

export interface Answer<T = unknown> {
  readonly status: number;
  readonly body: T;
  readonly tookMs: number;
}

/** Where nobody but `freePort` listens. */
const LEASE_HOST = '127.127.127.127';

/**
 * A port that nobody listens on, below those that the kernel gives away: a server that is down for a while finds its own
 * again. It is this process's as long as that lives: to listen on it at another address keeps it from all others that ask
 * here, whatever of it is in use at the moment.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    const lease = await listenerOn(LEASE_HOST, port);
    const server = lease && (await listenerOn(HOST, port));
    if (server === null) lease?.close();
    else {
      await new Promise((resolve) => server.close(resolve));
      return port;
    }
  }
}

/** Null: it is taken. Keeps no process alive. Rejects where it is anything else, such as want of descriptors. */
function listenerOn(host: string, port: number): Promise<net.Server | null> {
  return new Promise((resolve, reject) => {
    const server = net.createServer().unref();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') resolve(null);
      else reject(error);
    });
    server.listen(port, host, () => resolve(server));
  });
}

/** What the admin API on a unix socket answers to GET, as it is. */
export function textOf(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = http.get({ socketPath, path, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => resolve(text));
    });
    request.on('error', reject);
  });
}

/** Asks the admin API on a unix socket. */
export function ask<T>(socketPath: string, method: string, path: string, body?: object): Promise<Answer<T>> {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' };
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const request = http.request({ socketPath, method, path, agent: false, headers, timeout: 20_000 }, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        const tookMs = performance.now() - began;
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as T, tookMs });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error(`no answer from ${socketPath}`)));
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
