/**
 * Requests of several clients on one backend connection: written together, once an event-loop turn, and answered in the
 * order in which they were written (RFC 9112 section 9.3.2). Listener threads; one object a connection.
 *
 *   join ─► waiting, unsent ─► (end of the turn) ─► waiting, sent ─► first in line ─► answered
 *                │                                      │                │
 *                └──────────── moved off ◄──────────────┴── (client left: DiscardedAnswer takes the place)
 *
 * Why no client gets another's answer, as long as the backend answers each request once and frames its answers right:
 *   - an answer's bytes go to the first in line alone, and only where its request has been written
 *   - where an answer ends its framing says, read as strictly as on any connection; what follows is the next one's
 *   - a place in the line is given up only with its answer, or with the connection
 *   - where anything is in doubt the connection closes, and its bytes are thrown away: whoever has had none of its answer is
 *     moved off, and asks again on a connection of its own
 * A backend that breaks that condition can make a client get another's answer, and nothing in HTTP/1.1 would tell:
 * docs/pipelining.md.
 */

import type { ServiceSettings } from '../src/boards/listener-task.ts';
import { DiscardedAnswer } from './discarded-answer.ts';
import type { NodePipelines } from './node-pipelines.ts';
import type { ThreadContext } from './thread-context.ts';
import { Timed } from './timer-wheel.ts';
import { type AtTurnEnd, atTurnEnd } from './turn-end.ts';
import type { UpstreamConnection, UpstreamUser } from './upstream-connection.ts';

/** Whoever waits for an answer. As the connection's user it is told of that connection's fate while it is first in line. */
export interface PipelineUser extends UpstreamUser {
  /** For the line's use: wheel time at which it joined, ms. */
  joinedMs: number;
  /** Its answer has begun, and the connection ends with it. */
  readonly isLastAnswer: boolean;
  /** Its answer has begun, and much of it is still to come. */
  readonly isLongAnswer: boolean;
  /** It is first in line. */
  onTurn(connection: UpstreamConnection): void;
  /** It will not be answered here. Nothing of its answer has been read. */
  onMovedOff(): void;
}

/** Behind one that has waited longer than this, nobody joins: it is none of the fast ones. */
const BRISK_MS = 200;
/** Whoever has waited as long for those before it is moved off. */
const PATIENCE_MS = 1_000;

const NO_BYTES = Buffer.alloc(0);

export class UpstreamPipeline extends Timed implements UpstreamUser, AtTurnEnd {
  readonly connection: UpstreamConnection;
  /** Answers read here so far. */
  answers = 0;
  readonly #owner: NodePipelines;
  readonly #context: ThreadContext;
  /** Those that wait for their answers, in the order of their requests. */
  readonly #line: PipelineUser[] = [];
  /** Of these, whose requests have been written: the first so many. 0 <= #sent <= #line.length. */
  #sent = 0;
  /** The requests of the others. */
  #unsent = '';
  /** Nobody joins any more: the connection ends with the answer of the first in line. */
  #isClosing = false;
  #isGone = false;
  /** What is at hand of the backend's bytes, and is not part of an answer yet: `#bytes[#start, #end)`. */
  #bytes: Buffer = NO_BYTES;
  #start = 0;
  #end = 0;

  constructor(connection: UpstreamConnection, owner: NodePipelines, context: ThreadContext) {
    super();
    this.connection = connection;
    this.#owner = owner;
    this.#context = context;
  }

  /** One more may join those, fewer than `requestsMax`, that are here. */
  hasRoom(requestsMax: number): boolean {
    const { length } = this.#line;
    if (this.#isClosing || length >= requestsMax || this.connection.stream.writableLength > 0) return false;
    const first = this.#line[0];
    if (first === undefined) return true;
    return this.#context.wheel.now - first.joinedMs <= BRISK_MS && !first.isLongAnswer && !first.isLastAnswer;
  }

  /** `user` waits for the answer to `request` from now on. Where there was room. */
  join(user: PipelineUser, request: string): void {
    const { wheel } = this.#context;
    user.joinedMs = wheel.now;
    if (this.#unsent === '') atTurnEnd(this);
    this.#unsent += request;
    const length = this.#line.push(user);
    if (length === 1) user.onTurn(this.connection);
    else if (length === 2) wheel.arm(this, PATIENCE_MS);
  }

  /**
   * The first in line has done with its answer. `isReusable`: it was whole, and it is clear where the next one begins: with
   * what is left at hand, `rest[restStart, restEnd)`.
   */
  answered(isReusable: boolean, service: ServiceSettings, rest: Buffer, restStart: number, restEnd: number): void {
    if (this.#isGone) return;
    this.#line.shift();
    this.#sent--;
    this.answers++;
    const next = this.#line[0];
    const isInDoubt = next === undefined && (restStart < restEnd || this.connection.stream.writableLength > 0);
    if (!isReusable || this.#isClosing || isInDoubt) {
      this.breakUp();
      return;
    }
    this.#bytes = rest;
    this.#start = restStart;
    this.#end = restEnd;
    if (next !== undefined) next.onTurn(this.connection);
    else this.#owner.rest(this, service);
  }

  /** `user`, of whose answer nothing may have been read, waits no more; its answer has to be read all the same. */
  leave(user: PipelineUser, service: ServiceSettings): void {
    if (this.#isGone) return;
    const index = this.#line.indexOf(user);
    if (index < 0) throw new Error('who leaves does not stand in line');
    if (this.#line.length === 1) this.drop();
    else {
      const reader = new DiscardedAnswer(this, this.#context, service, user.joinedMs);
      this.#line[index] = reader;
      if (index === 0) reader.onTurn(this.connection);
    }
  }

  /** The first in line leaves within its answer, and takes the connection with it. */
  drop(): void {
    if (this.#isGone) return;
    this.#line.shift();
    this.breakUp();
  }

  /** Closes the connection; all in line are moved off. */
  breakUp(): void {
    if (this.#isGone) return;
    this.#isGone = this.#isClosing = true;
    const waiting = this.#line.splice(0);
    this.#sent = 0;
    this.#unsent = '';
    this.#start = this.#end;
    this.#context.wheel.remove(this);
    this.#owner.remove(this);
    this.connection.destroy();
    this.#move(waiting);
  }

  onTurnEnd(): void {
    if (this.#unsent === '') return;
    this.#sent = this.#line.length;
    const requests = this.#unsent;
    this.#unsent = '';
    this.connection.stream.write(requests, 'latin1');
  }

  onUpstreamBytes(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    while (this.#start < this.#end) {
      const first = this.#line[0];
      if (first === undefined || this.#sent === 0) {
        // RFC 9112 section 6.3: bytes that no request asked for
        this.breakUp();
        return;
      }
      const [from, to] = [this.#start, this.#end];
      this.#start = to;
      first.onUpstreamBytes(this.#bytes, from, to);
    }
    this.#bytes = NO_BYTES;
    if (this.#line.length > 1 && this.#line[0]?.isLastAnswer) this.#moveOthers();
  }

  onUpstreamEnd(): void {
    if (this.#sent > 0) this.#line[0]?.onUpstreamEnd();
    this.breakUp();
  }

  onUpstreamClosed(reason: string): void {
    const first = this.#sent > 0 ? this.#line.shift() : undefined;
    this.breakUp();
    first?.onUpstreamClosed(reason);
  }

  onUpstreamDeadline(): void {
    this.#line[0]?.onUpstreamDeadline();
  }

  /** The second in line may have waited for too long: of those who wait for others, it is the one that came first. */
  onDeadline(): void {
    const second = this.#line[1];
    if (second === undefined) return;
    const leftMs = second.joinedMs + PATIENCE_MS - this.#context.wheel.now;
    if (leftMs > 0 || this.#sent === 0) {
      this.#context.wheel.arm(this, Math.max(0, leftMs));
      return;
    }
    this.#owner.holdOff();
    this.#moveOthers();
  }

  /** A connection is pipelined on once it is open: these are never called. */
  onUpstreamReady(): void {}
  onUpstreamFailed(): void {}

  /** The first in line keeps the connection to itself, and it ends with its answer. */
  #moveOthers(): void {
    this.#isClosing = true;
    this.#unsent = '';
    const waiting = this.#line.splice(1);
    this.#sent = 1;
    this.#move(waiting);
  }

  #move(waiting: readonly PipelineUser[]): void {
    if (waiting.length === 0) return;
    this.#owner.onBroken(this, waiting.length);
    for (const user of waiting) user.onMovedOff();
  }
}
