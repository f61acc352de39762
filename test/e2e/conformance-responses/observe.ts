/**
 * Plays a case through a proxy and says what came of it: what its client got, whether the backend's connection was used
 * again, and what another client, who asks next, got for an answer.
 */

import net from 'node:net';
import tls from 'node:tls';
import { type Answer, readAnswer } from './answer.ts';
import { CASE_PATH, type CaseBackend, PROBE } from './case-backend.ts';
import { type Client, type ResponseCase, requestText, type Seen } from './response-case.ts';

export interface Target {
  readonly port: number;
  readonly isTls?: boolean;
  /** How long it may keep a client waiting, ms: where it takes longer, that is what is seen of it. */
  readonly waitMs: number;
  /** A connection is waited for that is to end, and not the answer alone. */
  readonly isExact: boolean;
  /** How long it has to close the backend's connection, where it should, ms. */
  readonly closeMs: number;
}

export interface Observation {
  readonly received: string;
  /** How the client's connection ended; 'open' where it has not, and a second request on it got its own answer. */
  readonly end: string;
  readonly answer: Answer;
  /** The next request, of another client, came over the backend connection of the case. */
  readonly isReused: boolean;
  /** What a later request got that was not its own answer; empty where all was well. */
  readonly leaked: string;
}

let probes = 0;

export async function observe(
  target: Target,
  backend: CaseBackend,
  one: ResponseCase,
  client: Client,
  isByteByByte = false,
): Promise<Observation> {
  const method = one.request?.method ?? 'GET';
  const performance = backend.play(one, isByteByByte);
  const first = new Connection(target);
  first.send(requestText(CASE_PATH, client, one.request));
  await first.until(() => {
    if (first.received !== '') performance.received();
    return readAnswer(first.received, method, first.end).isWhole;
  });
  // a response that is handed on as broken never becomes whole, and the backend may be waiting to go on
  performance.received();
  if (target.isExact && one.seen(client)?.end !== 'open') await first.until(() => false);
  const answer = readAnswer(first.received, method, first.end);
  const { received } = first;
  let end = first.end ?? 'open';
  await within(target.closeMs, performance.done);
  const { socket } = performance;
  // a tunnel lasts as long as either side
  if (answer.status === 101) first.destroy();
  if (!one.isReused && socket !== null && !socket.closed) {
    await within(target.closeMs, new Promise((resolve) => socket.once('close', resolve)));
  }
  const other = await probe(new Connection(target));
  let { leaked } = other;
  if (first.end === null && answer.isWhole && client === '1.1') {
    const again = await probe(first, received.length);
    leaked ||= again.leaked;
    // it was closing already: nothing but that it could not serve
    if (again.isClosed) end = first.end ?? 'open';
  }
  first.destroy();
  return { received, end, answer, isReused: other.port === performance.port, leaked };
}

/** Asks for what no other request asks for. */
async function probe(connection: Connection, from = 0): Promise<{ port: number; leaked: string; isClosed: boolean }> {
  const path = `${PROBE}${++probes}`;
  connection.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await connection.until(() => readAnswer(connection.received.slice(from), 'GET', connection.end).isWhole);
  const text = connection.received.slice(from);
  const { content, past } = readAnswer(text, 'GET', connection.end);
  if (from === 0) connection.destroy();
  const [, port = '', rest = ''] = content.split(/ (\d+)/);
  const isOwn = content.startsWith(`${path} `) && rest === '' && past === text.length;
  const isClosed = text === '';
  return { port: Number(port), leaked: isOwn || isClosed ? '' : text, isClosed };
}

/** A client's connection, plain or TLS. */
class Connection {
  received = '';
  /** 'FIN', 'RST' or another error; null while it is open. */
  end: string | null = null;
  readonly #socket: net.Socket;
  readonly #waitMs: number;
  #wake: () => void = () => {};

  constructor({ port, isTls, waitMs }: Target) {
    const at = { port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true };
    this.#waitMs = waitMs;
    this.#socket = isTls ? tls.connect({ ...at, rejectUnauthorized: false }) : net.connect(at);
    this.#socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    const ended = (how: string) => {
      this.end ??= how;
      this.#wake();
    };
    this.#socket.once('end', () => ended('FIN'));
    this.#socket.on('error', (error: NodeJS.ErrnoException) =>
      ended(error.code === 'ECONNRESET' ? 'RST' : (error.code ?? error.message)),
    );
    this.#socket.once('close', () => ended('closed'));
  }

  send(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Resolves when `holds` does, the connection has ended, or the target has taken too long. */
  async until(holds: () => boolean): Promise<void> {
    if (holds() || this.end !== null) return;
    const held = new Promise<void>((resolve) => {
      this.#wake = () => {
        if (holds() || this.end !== null) resolve();
      };
    });
    await within(this.#waitMs, held);
    this.#wake = () => {};
  }
}

/** Resolves when `event` does, or after `ms`. */
async function within(ms: number, event: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([event, late]);
  clearTimeout(timer);
}

/** As an expectation is written. */
export function seenOf({ received, end }: Observation): Seen {
  return { bytes: received, end: end as Seen['end'] };
}
