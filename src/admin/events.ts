/**
 * GET /events: the edge's status as server-sent events, a snapshot a second, for the dashboard. Main thread, so what clients
 * can make it do is bounded: a snapshot is made and written out once for all of them, none where nobody listens, and one
 * that has cost much is followed by a rest; who does not read is dropped.
 *
 *   event: snapshot   data: a Snapshot as JSON
 *   event: end        this program stops
 *   a comment         nothing new, but the connection is well
 */

import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { Readiness } from '../control/reload-result.ts';
import type { EdgeStatus } from '../control/status.ts';

const DEFAULTS: EventLimits = {
  streamsMax: 8,
  intervalMs: 1_000,
  stalledTicksMax: 5,
  lifeTicksMax: 300,
};
/** Of the main thread's time, snapshots take at most one part in this many. */
const REST_FACTOR = 20;
/** The time that one took may be time in which the machine stood still. */
const REST_MS_MAX = 5_000;
const HEARTBEAT = ':\n\n';

/** A tick is `intervalMs`. */
export interface EventLimits {
  readonly streamsMax: number;
  readonly intervalMs: number;
  /** For how many ticks in a row a client may leave what was written unread. */
  readonly stalledTicksMax: number;
  /** A stream ends then, and its client has to come back: with the token that is in force. */
  readonly lifeTicksMax: number;
}

export interface EventsPort {
  status(): EdgeStatus;
  readiness(): Readiness;
}

export interface Snapshot extends EdgeStatus {
  readonly readiness: Readiness;
  /** Unix time, ms. */
  readonly atMs: number;
  /** By a clock that nobody sets: for rates, ms. */
  readonly clockMs: number;
}

interface Stream {
  readonly response: ServerResponse;
  lifeTicks: number;
  stalledTicks: number;
}

/** Invariants: at most `streamsMax` streams; the timer runs while there is one. */
export class EventStreams {
  readonly #port: EventsPort;
  readonly #reportFault: (error: Error) => void;
  readonly #limits: EventLimits;
  readonly #streams = new Set<Stream>();
  #timer: NodeJS.Timeout | null = null;
  /** The last snapshot as it goes over the wire; maybe an old one, where nobody has listened since. */
  #frame = '';
  #nextAtMs = 0;
  #isClosed = false;

  constructor(port: EventsPort, reportFault: (error: Error) => void, limits: Partial<EventLimits> = {}) {
    this.#port = port;
    this.#reportFault = reportFault;
    this.#limits = { ...DEFAULTS, ...limits };
  }

  get size(): number {
    return this.#streams.size;
  }

  define(app: FastifyInstance): void {
    app.get('/events', { exposeHeadRoute: false }, (_request, reply) => {
      if (this.#isClosed) return reply.code(503).send({ code: 'stopping', message: 'this edge is about to end' });
      if (this.#streams.size >= this.#limits.streamsMax) {
        const message = `${this.#streams.size} event streams are open already; close a dashboard, or ask GET /status`;
        return reply.code(503).send({ code: 'too-many-streams', message });
      }
      reply.hijack();
      this.#open(reply);
    });
  }

  /** Ends the streams that are open, with the next tick; their clients may come back. */
  renew(): void {
    for (const stream of this.#streams) stream.lifeTicks = this.#limits.lifeTicksMax;
  }

  /** Ends all streams: the program stops. */
  close(): void {
    this.#isClosed = true;
    for (const { response } of this.#streams) response.end('event: end\ndata: {}\n\n');
    this.#stopTimer();
  }

  /** `reply` has been given the headers that all answers have. */
  #open(reply: FastifyReply): void {
    const response = reply.raw;
    const stream: Stream = { response, lifeTicks: 0, stalledTicks: 0 };
    this.#streams.add(stream);
    response.on('error', () => {}); // 'close' follows
    response.on('close', () => {
      this.#streams.delete(stream);
      if (this.#streams.size === 0) this.#stopTimer();
    });
    // its own ticks tell whether the other side is there
    response.socket?.setTimeout(0);
    // a proxy on the way is not to gather them
    reply.headers({ 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    response.writeHead(200, reply.getHeaders() as OutgoingHttpHeaders);
    this.#refresh();
    response.write(this.#frame);
    this.#timer ??= setInterval(() => this.#tick(), this.#limits.intervalMs).unref();
  }

  #tick(): void {
    const text = this.#refresh() ? this.#frame : HEARTBEAT;
    for (const stream of this.#streams) this.#feed(stream, text);
  }

  #feed(stream: Stream, text: string): void {
    const { response } = stream;
    const { stalledTicksMax, lifeTicksMax } = this.#limits;
    if (++stream.lifeTicks > lifeTicksMax) {
      response.end();
    } else if (response.writableLength === 0) {
      stream.stalledTicks = 0;
      response.write(text);
      return;
    }
    // also one that is to end, and does not read what is left
    if (++stream.stalledTicks > stalledTicksMax) response.destroy();
  }

  /** Makes the next snapshot where its time has come; says whether it did. */
  #refresh(): boolean {
    const beganMs = performance.now();
    // timers are not exact
    if (beganMs < this.#nextAtMs - this.#limits.intervalMs / 10) return false;
    try {
      const snapshot: Snapshot = {
        ...this.#port.status(),
        readiness: this.#port.readiness(),
        atMs: Date.now(),
        clockMs: beganMs,
      };
      this.#frame = `event: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`;
    } catch (error) {
      this.#reportFault(error as Error);
      this.#frame = HEARTBEAT;
    }
    const restMs = Math.min((performance.now() - beganMs) * REST_FACTOR, REST_MS_MAX);
    this.#nextAtMs = beganMs + Math.max(this.#limits.intervalMs, restMs);
    return true;
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
