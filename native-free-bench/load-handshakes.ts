/**
 * Load by TLS handshakes, a process of its own: `load-handshakes.ts LOAD`, LOAD as JSON (HandshakeLoad). Each client connects,
 * ends the connection and connects anew, without a request, all with one session where they are to resume. Node's own client:
 * autocannon keeps its connections, and `openssl s_time` cannot resume with TLS 1.3.
 */

import { once } from 'node:events';
import tls from 'node:tls';
import type { HandshakeLoad, LoadMessage } from './load.ts';

const SILENT_MAX_MS = 5_000;

const load = JSON.parse(process.argv[2] as string) as HandshakeLoad;
const { port, version, isResumed, leadMs, forMs, clients } = load;
const tell = (message: LoadMessage) => process.send?.(message);
const faults = new Map<string, number>();
let done = 0;
let isOver = false;

function connect(session?: Buffer): tls.TLSSocket {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    rejectUnauthorized: false,
    minVersion: version,
    maxVersion: version,
    timeout: SILENT_MAX_MS,
    ...(session === undefined ? {} : { session }),
  });
  return socket.once('timeout', () => socket.destroy(new Error(`silent for ${SILENT_MAX_MS} ms`)));
}

/** With a request, as a TLS 1.3 ticket comes with what is read after the handshake. */
async function newSession(): Promise<Buffer> {
  let session: Buffer | null = null;
  let isAnswered = false;
  const socket = connect();
  const endOnceDone = () => {
    if (isAnswered && session !== null) socket.end();
  };
  socket.on('session', (s) => {
    session = s;
    endOnceDone();
  });
  socket.on('data', () => {
    isAnswered = true;
    endOnceDone();
  });
  socket.write('GET /0 HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(socket, 'close');
  if (session === null) throw new Error('no session to resume');
  return session;
}

function fault(what: string): void {
  faults.set(what, (faults.get(what) ?? 0) + 1);
}

function handshake(session?: Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(session);
    socket.once('secureConnect', () => {
      done++;
      if (socket.isSessionReused() !== isResumed) fault(isResumed ? 'not resumed' : 'resumed');
      socket.end();
    });
    socket.resume();
    socket.once('error', (error: NodeJS.ErrnoException) => fault(error.code ?? error.message));
    socket.once('close', () => resolve());
  });
}

setTimeout(() => tell({ kind: 'begin', done }), leadMs);
setTimeout(() => {
  tell({ kind: 'end', done });
  isOver = true;
}, leadMs + forMs);
try {
  const session = isResumed ? await newSession() : undefined;
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (!isOver) await handshake(session);
    }),
  );
} catch (error) {
  fault((error as Error).message);
}
tell({ kind: 'result', faults: [...faults].map(([what, times]) => `${times} times ${what}`), latency: null });
process.disconnect?.();
