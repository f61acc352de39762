/**
 * The access log: a JSON line a request, off by default. Listener threads; all append to one file.
 *
 * Lines are gathered and written off the event loop. A disk that cannot keep up costs lines, counted and said in the
 * program's own log, and never a request's time.
 */

import sonicBoom from 'sonic-boom';
import { latin1 } from './http1/latin1.ts';
import type { RequestHead } from './http1/request-head.ts';
import type { ThreadLog } from './thread-log.ts';

/** The package is CommonJS: its class is reached through the default export. */
const { SonicBoom } = sonicBoom;

/** Lines wait in memory until there are this many bytes, or the next tick. */
const BATCH_BYTES = 8 * 1024;
/** Past this, lines are dropped until the disk has caught up. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

/** What became of a request. */
export type Outcome =
  /** Answered whole, by a node. */
  | 'ok'
  /** Answered by stekbal itself; `reason` says why. */
  | 'refused'
  /** The response began and could not be finished. */
  | 'cut'
  /** The client left first. */
  | 'aborted'
  /** An upgraded connection, over now. */
  | 'tunnel';

/** A request in progress, as it will be logged. */
export interface AccessEntry {
  readonly startedMs: number;
  readonly time: string;
  readonly client: string;
  readonly method: string;
  /** As the client sent it: with its query, and so maybe with a secret in it. */
  readonly target: string;
  readonly protocol: string;
  readonly host: string;
}

/** The rest, known at the end. */
export interface AccessResult {
  readonly service: string;
  /** "host:port", or empty where no node was chosen. */
  readonly node: string;
  /** Sent to the client; 499 where it left before one was. */
  readonly status: number;
  /** Content, without heads and chunk framing. */
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Connections tried. */
  readonly attempts: number;
  /** The cookie chose the node, or the response set one, or neither. */
  readonly affinity: 'hit' | 'set' | 'none';
  readonly outcome: Outcome;
  /** Empty where all went well. */
  readonly reason: string;
}

export class AccessLog {
  readonly #file: InstanceType<typeof SonicBoom>;
  readonly #log: ThreadLog;
  #dropped = 0;
  #isWaiting = false;

  constructor(file: string, log: ThreadLog) {
    this.#log = log;
    this.#file = new SonicBoom({
      dest: file,
      append: true,
      sync: false,
      mode: 0o640,
      minLength: BATCH_BYTES,
      maxLength: WAITING_BYTES_MAX,
    });
    this.#file.on('drop', () => {
      this.#dropped++;
    });
    this.#file.on('error', (error: NodeJS.ErrnoException) => {
      log.warn('access log', { reason: error.code ?? error.message });
    });
  }

  /** Notes what a request's head says, while its bytes are there. */
  begin(bytes: Buffer, head: RequestHead, client: string): AccessEntry {
    return {
      startedMs: performance.now(),
      time: new Date().toISOString(),
      client,
      method: latin1(bytes, head.start, head.methodEnd),
      target: latin1(bytes, head.targetStart, head.targetEnd),
      protocol: `HTTP/1.${head.minorVersion}`,
      host: latin1(bytes, head.hostStart, head.hostEnd),
    };
  }

  end({ startedMs, ...entry }: AccessEntry, result: AccessResult): void {
    const durationMs = Math.round((performance.now() - startedMs) * 1000) / 1000;
    this.#write({ ...entry, ...result, durationMs });
  }

  /** A request whose head could not be read, or that no service is there for. */
  refused(client: string, status: number, reason: string): void {
    this.#write({ time: new Date().toISOString(), client, status, outcome: 'refused', reason });
  }

  #write(fields: object): void {
    this.#isWaiting = true;
    this.#file.write(`${JSON.stringify(fields)}\n`);
  }

  /** Called at every tick of the timer wheel. */
  onTick(): void {
    if (this.#isWaiting) this.#file.flush(() => {});
    this.#isWaiting = false;
    if (this.#dropped === 0) return;
    this.#log.warn('access log lines dropped: the disk does not keep up', { lines: this.#dropped });
    this.#dropped = 0;
  }

  /** Goes over to a new file of the same name: the old one has been moved away. */
  reopen(): void {
    this.#file.reopen();
  }

  /** Writes what waits, at once. */
  close(): void {
    try {
      this.#file.flushSync();
    } catch (error) {
      this.#log.warn('access log', { reason: (error as Error).message });
    }
  }
}
