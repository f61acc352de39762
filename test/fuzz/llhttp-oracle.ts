/**
 * node:http's own parser (llhttp, strict) as an independent reader of HTTP/1.1. What it reads is taken from a real
 * http.Server and http.request at the end of a Duplex; its parser works through bytes within `feed`, so that after each
 * call its reading is there to be compared. Test support.
 */

import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  request as openRequest,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/** Above every limit of our own: its limits are not what is compared. */
const HEAD_BYTES_MAX = 256 * 1024;

export interface OracleError {
  /** `HPE_...` */
  readonly code: string;
  readonly reason: string;
}

export interface OracleMessage {
  readonly incoming: IncomingMessage;
  /** Names and values by turns, in order, as sent. */
  readonly rawHeaders: readonly string[];
  body: string;
  readonly keepsConnection: boolean;
}

class ByteEnd extends Duplex {
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: BufferEncoding, callback: () => void): void {
    callback();
  }
}

function newByteEnd(): Duplex {
  return new ByteEnd().on('error', () => {});
}

/** Collects the body as it is parsed: through the stream it would come a few turns of the event loop later. */
function collect(incoming: IncomingMessage, keepsConnection: boolean): OracleMessage {
  const message: OracleMessage = { incoming, rawHeaders: incoming.rawHeaders, body: '', keepsConnection };
  incoming.push = (chunk: Buffer | null) => {
    if (chunk !== null) message.body += chunk.toString('latin1');
    return true;
  };
  return message;
}

let receiving: RequestOracle | null = null;

// that a request needs a Host is a rule of http.Server's, not of llhttp's
const server = createServer({ insecureHTTPParser: false, maxHeaderSize: HEAD_BYTES_MAX, requireHostHeader: false });
server.maxHeadersCount = 0;
// what follows an Upgrade is read as a request, as we do until the backend has agreed to it
Object.assign(server, { shouldUpgradeCallback: () => false });
for (const event of ['request', 'checkContinue', 'checkExpectation']) {
  server.on(event, (incoming: IncomingMessage, response: ServerResponse) => {
    receiving?.messages.push(collect(incoming, response.shouldKeepAlive));
  });
}
server.on('clientError', (error: NodeJS.ErrnoException & { reason?: string }) => {
  if (receiving !== null) receiving.error = { code: error.code ?? '', reason: error.reason ?? error.message };
});

/** A server's reading of one connection. Close it, and give the event loop a turn now and then to clean up. */
export class RequestOracle {
  readonly messages: OracleMessage[] = [];
  error: OracleError | null = null;
  readonly #socket = newByteEnd();

  constructor() {
    server.emit('connection', this.#socket);
  }

  get completeCount(): number {
    return this.messages.filter((message) => message.incoming.complete).length;
  }

  /** After an Upgrade the bytes of the next request must come in a call of their own. */
  feed(bytes: Buffer): void {
    if (bytes.length === 0 || this.error !== null) return;
    receiving = this;
    // a copy, because what the parser gives out may be a view
    this.#socket.emit('data', Buffer.from(bytes));
    receiving = null;
  }

  close(): void {
    this.#socket.destroy();
  }
}

/** A client's reading of the responses to one request. */
export class ResponseOracle {
  /** Interim responses and the final one. */
  readonly messages: { status: number; reason: string; version: string; rawHeaders: readonly string[] }[] = [];
  /** The final response; of 101 too. */
  final: OracleMessage | null = null;
  error: OracleError | null = null;
  readonly #socket = newByteEnd();
  readonly #request: ClientRequest;

  private constructor(method: string) {
    this.#request = openRequest({
      createConnection: () => this.#socket as unknown as Socket,
      method,
      headers: { host: 'oracle', connection: 'keep-alive' },
      insecureHTTPParser: false,
      maxHeaderSize: HEAD_BYTES_MAX,
    });
    const request = this.#request;
    request.maxHeadersCount = 0;
    request.on('information', (info) => {
      const { statusCode: status, statusMessage: reason, httpVersion: version, rawHeaders } = info;
      this.messages.push({ status, reason, version, rawHeaders });
    });
    request.on('response', (incoming) => this.#take(incoming));
    request.on('upgrade', (incoming) => this.#take(incoming));
    request.on('error', (error: NodeJS.ErrnoException & { reason?: string }) => {
      this.error ??= { code: error.code ?? '', reason: error.reason ?? error.message };
    });
    request.end();
  }

  /** Opens `count` at once: each takes a turn of the event loop to attach its parser. */
  static async open(methods: readonly string[]): Promise<ResponseOracle[]> {
    const oracles = methods.map((method) => new ResponseOracle(method));
    await new Promise(setImmediate);
    return oracles;
  }

  get isComplete(): boolean {
    return this.final?.incoming.complete ?? false;
  }

  /** Read after the final response has come: a backend that closes says so in its head. */
  get keepsConnection(): boolean {
    return this.#request.shouldKeepAlive;
  }

  feed(bytes: Buffer): void {
    if (bytes.length > 0 && this.error === null) this.#socket.emit('data', Buffer.from(bytes));
  }

  /** The backend's FIN. */
  end(): void {
    this.#socket.emit('end');
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(incoming: IncomingMessage): void {
    const { statusCode = 0, statusMessage = '', httpVersion: version, rawHeaders } = incoming;
    this.messages.push({ status: statusCode, reason: statusMessage, version, rawHeaders });
    this.final = collect(incoming, true);
  }
}
