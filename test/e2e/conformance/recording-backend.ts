/**
 * A backend that records the bytes of every connection, and answers each request that a strict reading finds in them by
 * saying what it read. Test support.
 *
 *   /switch       an Upgrade is accepted: 101, and from there on every byte is sent back
 *   /no-continue  answered as soon as the head is there, whatever becomes of the body
 *   any other     a 100 where Expect asks for it, and an answer once the request is whole
 */

import { createHash } from 'node:crypto';
import type net from 'node:net';
import type { TestContext } from 'node:test';
import { type Backend, rawBackend } from '../harness.ts';
import { type ReadRequest, readConnection, readHead, STRICT } from './reading.ts';

/** One connection to the backend, as it was. */
export interface Recorded {
  readonly socket: net.Socket;
  /** All bytes that came, latin1; those behind an accepted Upgrade are in `tunnelled`. */
  bytes: string;
  tunnelled: string;
  /** By a strict reading, with their places among all requests at the backend. */
  readonly requests: { readonly request: ReadRequest; readonly place: number }[];
  malformed: string;
  hasEnded: boolean;
}

export interface RecordingBackend extends Backend {
  readonly recorded: Recorded[];
}

/** RFC 6455 section 1.3. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** What the answer to a request says of it, in a field: the answer has no body, so that those to HEAD are like others. */
export const READ_FIELD = 'X-Read';

export async function recordingBackend(t: TestContext): Promise<RecordingBackend> {
  const recorded: Recorded[] = [];
  let place = 0;
  const backend = await rawBackend(t, (socket) => {
    const record: Recorded = { socket, bytes: '', tunnelled: '', requests: [], malformed: '', hasEnded: false };
    recorded.push(record);
    new Conversation(record, () => place++).begin();
  });
  return Object.assign(backend, { recorded });
}

class Conversation {
  readonly #record: Recorded;
  readonly #nextPlace: () => number;
  /** What has come of the first request that is not whole yet. All that came is never looked at before the end. */
  #pending = '';
  /** Where that begins in all that came. */
  #at = 0;
  #isTunnel = false;
  /** The head of what is pending has been answered, by 100 or for good. */
  #hasSaid: '' | 'continue' | 'final' = '';

  constructor(record: Recorded, nextPlace: () => number) {
    this.#record = record;
    this.#nextPlace = nextPlace;
  }

  begin(): void {
    const { socket } = this.#record;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk.toString('latin1')));
    socket.on('end', () => {
      this.#record.hasEnded = true;
      socket.end();
    });
    socket.on('close', () => {
      this.#record.hasEnded = true;
    });
  }

  #take(text: string): void {
    const record = this.#record;
    if (this.#isTunnel) {
      this.#echo(text);
      return;
    }
    record.bytes += text;
    this.#pending += text;
    const { requests, rest, malformed } = readConnection(this.#pending, STRICT);
    for (const { start, headEnd, end, ...read } of requests) {
      const request = { ...read, start: this.#at + start, headEnd: this.#at + headEnd, end: this.#at + end };
      record.requests.push({ request, place: this.#nextPlace() });
      if (this.#answer(request)) return;
    }
    this.#pending = this.#pending.slice(rest);
    this.#at += rest;
    record.malformed = malformed;
    if (malformed !== '')
      record.socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    else this.#greet();
  }

  /** Answers a whole request; true where the connection is a tunnel from there on. */
  #answer(request: ReadRequest): boolean {
    const { socket } = this.#record;
    const said = this.#hasSaid;
    this.#hasSaid = '';
    if (said === 'final') return false;
    const upgrade = /upgrade/i.test(fieldValue(request, 'connection')) ? fieldValue(request, 'upgrade') : '';
    if (request.target === '/switch' && upgrade !== '') {
      const accept = createHash('sha1').update(`${fieldValue(request, 'sec-websocket-key')}${WEBSOCKET_GUID}`);
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${upgrade}\r\n` +
          `Sec-WebSocket-Accept: ${accept.digest('base64')}\r\n\r\n`,
      );
      this.#isTunnel = true;
      const { bytes } = this.#record;
      this.#record.bytes = bytes.slice(0, request.end);
      if (bytes.length > request.end) this.#echo(bytes.slice(request.end));
      return true;
    }
    socket.write(answerTo(request), 'latin1');
    return false;
  }

  /** What may be said before the body is there. */
  #greet(): void {
    const { socket } = this.#record;
    const head = this.#hasSaid === '' ? readHead(this.#pending) : null;
    if (head === null) return;
    if (head.target === '/no-continue') {
      this.#hasSaid = 'final';
      socket.write(answerTo({ ...head, body: '' }), 'latin1');
    } else if (fieldValue(head, 'expect') !== '') {
      this.#hasSaid = 'continue';
      socket.write('HTTP/1.1 100 Continue\r\n\r\n');
    }
  }

  #echo(text: string): void {
    this.#record.tunnelled += text;
    this.#record.socket.write(text, 'latin1');
  }
}

/** The value of the first field of this name; empty where there is none. */
function fieldValue({ fields }: Pick<ReadRequest, 'fields'>, name: string): string {
  return fields.find((field) => field.name.toLowerCase() === name)?.value ?? '';
}

function answerTo({ method, target, body }: Pick<ReadRequest, 'method' | 'target' | 'body'>): string {
  return `HTTP/1.1 200 OK\r\n${READ_FIELD}: ${method} ${target} ${body.length}\r\nContent-Length: 0\r\n\r\n`;
}
