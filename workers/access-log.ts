/**
 * The access log: a JSON line a request, off by default. Listener threads; all append to one file.
 *
 * Lines are put together as text: an object a request and its JSON would cost as much as the rest of a request's
 * JavaScript. A disk that cannot keep up costs lines, counted and said in the program's own log, and never a request's
 * time.
 */

import { FileAppender } from './file-appender.ts';
import { latin1 } from './http1/latin1.ts';
import type { RequestHead } from './http1/request-head.ts';
import type { ThreadLog } from './thread-log.ts';

/** Ten seconds: a disk may be full for days. */
const QUIET_TICKS = 100;

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

/** A request in progress: what its head said, as the first part of its line. */
export interface AccessEntry {
  readonly startedMs: number;
  readonly text: string;
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
  readonly #file: FileAppender;
  readonly #log: ThreadLog;
  /** What was last said to be wrong with the file. */
  #failure: string | null = null;
  /** Nothing more is said until these have passed. */
  #ticksQuiet = 0;
  #openingMs = 0;
  #openingText = '';

  constructor(file: string, log: ThreadLog) {
    this.#log = log;
    this.#file = new FileAppender(file);
  }

  /** Notes what a request's head says, while its bytes are there. The target is as the client sent it, query and all. */
  begin(bytes: Buffer, head: RequestHead, client: string): AccessEntry {
    const { start, methodEnd, targetStart, targetEnd, hostStart, hostEnd } = head;
    const host = latin1(bytes, hostStart, hostEnd);
    const text =
      `${this.#opening()},"client":"${client}","method":${quote(latin1(bytes, start, methodEnd))},` +
      `"target":${quote(latin1(bytes, targetStart, targetEnd))},"protocol":"HTTP/1.${head.minorVersion}","host":${quote(host)}`;
    return { startedMs: performance.now(), text };
  }

  end({ startedMs, text }: AccessEntry, r: AccessResult): void {
    const durationMs = Math.round((performance.now() - startedMs) * 1000) / 1000;
    this.#file.append(
      `${text},"service":${quote(r.service)},"node":"${r.node}","status":${r.status},"requestBytes":${r.requestBytes},` +
        `"responseBytes":${r.responseBytes},"attempts":${r.attempts},"affinity":"${r.affinity}","outcome":"${r.outcome}",` +
        `"reason":${quote(r.reason)},"durationMs":${durationMs}}\n`,
    );
  }

  /** A request whose head could not be read, or that no service is there for. */
  refused(client: string, status: number, reason: string): void {
    const verdict = `"status":${status},"outcome":"refused","reason":${quote(reason)}`;
    this.#file.append(`${this.#opening()},"client":"${client}",${verdict}}\n`);
  }

  /** The line's brace and time. A time is written out once a millisecond, and lines share it. */
  #opening(): string {
    const now = Date.now();
    if (now !== this.#openingMs) {
      this.#openingMs = now;
      this.#openingText = `{"time":"${new Date(now).toISOString()}"`;
    }
    return this.#openingText;
  }

  /** Called at every tick of the timer wheel. */
  onTick(): void {
    this.#file.flush();
    if (--this.#ticksQuiet > 0) return;
    const { dropped, lost, failure } = this.#file;
    if (failure !== null && (lost > 0 || this.#failure === null)) {
      this.#log.warn('access log cannot be written', { reason: failure, lines: lost });
    } else if (failure === null && this.#failure !== null) {
      this.#log.info('access log can be written again', { lost });
    }
    if (dropped > 0) this.#log.warn('access log lines dropped: the disk does not keep up', { lines: dropped });
    if (failure !== this.#failure || lost + dropped > 0) this.#ticksQuiet = QUIET_TICKS;
    this.#failure = failure;
    this.#file.dropped = this.#file.lost = 0;
  }

  reopen(): void {
    this.#file.reopen();
  }

  /** Resolves when what waits is written. */
  close(): Promise<void> {
    return this.#file.close();
  }
}

/** A JSON string, in ASCII. Most need no escapes. */
function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text).replace(/[^ -~]/g, escapeUnit);
}

/** Visible ASCII and spaces, less what JSON escapes. */
const PLAIN = /^[ !#-[\]-~]*$/;

function escapeUnit(c: string): string {
  return `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
