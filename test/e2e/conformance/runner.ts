/**
 * Sends cases to a proxy, many connections at a time, each in the pieces asked for, and gathers what comes back. Test
 * support.
 *
 * Pieces arrive as reads of their own without a sleep: between two of them, a request on another connection goes all the
 * way to the backend and back, twice. The proxy has one thread, so by then it has read what was sent before.
 */

import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { Barrier } from './barrier.ts';
import { type Case, TAG, tagOf } from './case.ts';
import { READ_FIELD } from './recording-backend.ts';

export interface Run {
  readonly case: Case;
  /** Offsets at which the bytes are cut, ascending. */
  readonly cuts: readonly number[];
}

export interface Outcome {
  readonly run: Run;
  readonly tag: string;
  /** All that the client got, latin1. */
  readonly received: string;
  /** The other side ended the connection before the client was done. */
  readonly endedEarly: boolean;
  /** It ended in the end. */
  readonly ended: boolean;
  /** Pieces sent: fewer than there are where the connection ended before. */
  readonly sent: number;
}

export interface RunnerOptions {
  readonly port: number;
  /** Waits for what the case says must come; else until nothing comes any more. */
  readonly knowsProxy: boolean;
  readonly isTls?: boolean;
}

const WAVE = 256;
const WAIT_MS = 20_000;
/** How long a proxy that is not ours may take to answer a plain request. */
const STRANGER_WAIT_MS = 1_000;
/** Of a proxy that is not ours: no byte for this long, and it is taken to be waiting. */
const QUIET_MS = 150;

let lastTag = 0;

/** Runs all of `runs`; their outcomes in the same order. */
export async function runAll(runs: readonly Run[], options: RunnerOptions): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const { port, isTls = false, knowsProxy } = options;
  const barrier = new Barrier({ port, isTls, waitMs: knowsProxy ? WAIT_MS : STRANGER_WAIT_MS });
  for (let i = 0; i < runs.length; i += WAVE) {
    outcomes.push(...(await runWave(runs.slice(i, i + WAVE), options, barrier)));
  }
  // what the last ones did to connections behind the proxy is done by then, too
  await barrier.pass();
  barrier.close();
  return outcomes;
}

async function runWave(runs: readonly Run[], options: RunnerOptions, barrier: Barrier): Promise<Outcome[]> {
  const clients = runs.map((run) => new Client(run, tagOf(++lastTag), options));
  await Promise.all(clients.map((client) => client.opened));
  await barrier.pass();
  const steps = Math.max(...runs.map((run) => run.cuts.length + 1));
  for (let step = 0; step < steps; step++) {
    for (const client of clients) client.send(step);
    await barrier.pass();
  }
  if (options.knowsProxy) await Promise.all(clients.map((client) => client.answered));
  else await quiet(clients);
  await barrier.pass();
  for (const client of clients) client.finish();
  await Promise.all(clients.map((client) => client.ended()));
  return clients.map((client) => client.outcome());
}

/** Resolves when nothing has come for a while at any of them. */
async function quiet(clients: readonly Client[]): Promise<void> {
  const end = performance.now() + WAIT_MS;
  let before = -1;
  for (;;) {
    const now = clients.reduce((sum, client) => sum + client.events, 0);
    if (now === before || performance.now() > end) return;
    before = now;
    await sleep(QUIET_MS);
  }
}

class Client {
  readonly opened: Promise<void>;
  /** All that the case says must come has come, or the connection has ended, or it took too long. */
  readonly answered: Promise<void>;
  events = 0;
  readonly #run: Run;
  readonly #tag: string;
  readonly #pieces: readonly string[];
  readonly #socket: net.Socket;
  readonly #answersWanted: number;
  readonly #endWaitMs: number;
  #received = '';
  #sent = 0;
  #endedEarly = false;
  #hasEnded = false;
  #isFinished = false;
  #onProgress: () => void = () => {};
  #onEnded: () => void = () => {};

  constructor(run: Run, tag: string, { port, knowsProxy, isTls }: RunnerOptions) {
    this.#run = run;
    this.#tag = tag;
    this.#pieces = piecesOf(run.case.bytes.replaceAll(TAG, tag), run.cuts);
    const { expected } = run.case;
    this.#answersWanted = expected.refusal.length > 0 || expected.closes ? Infinity : expected.requests.length;
    const options = { port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true };
    this.#socket = isTls ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options);
    const socket = this.#socket;
    this.opened = new Promise((resolve) => {
      socket.once(isTls ? 'secureConnect' : 'connect', resolve).once('close', () => resolve());
    });
    this.answered = this.#within((done) => {
      this.#onProgress = () => {
        if (this.#hasEnded || this.#hasAnswers()) done();
      };
    });
    this.#endWaitMs = knowsProxy ? WAIT_MS : QUIET_MS * 4;
    socket.on('data', (chunk) => this.#take(chunk.toString('latin1')));
    socket.on('error', () => this.#end());
    socket.on('end', () => this.#end());
    socket.on('close', () => this.#end());
  }

  send(step: number): void {
    const piece = this.#pieces[step];
    if (this.#hasEnded || piece === undefined) return;
    this.#sent++;
    if (piece !== '') this.#socket.write(piece, 'latin1');
    if (step === this.#pieces.length - 1 && this.#run.case.halfCloses) this.#socket.end();
  }

  /** Nothing more comes from the client. */
  finish(): void {
    this.#isFinished = true;
    if (!this.#hasEnded && !this.#socket.writableEnded) this.#socket.end();
  }

  /** Resolves when the other side has ended the connection, or does not in time. */
  ended(): Promise<void> {
    return this.#within((done) => {
      this.#onEnded = done;
      if (this.#hasEnded) done();
    }, this.#endWaitMs);
  }

  outcome(): Outcome {
    // leaves no connection in TIME_WAIT, of which there would be more than ports
    if (this.#socket instanceof tls.TLSSocket) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
    return {
      run: this.#run,
      tag: this.#tag,
      received: this.#received,
      endedEarly: this.#endedEarly,
      ended: this.#hasEnded,
      sent: this.#sent,
    };
  }

  #take(text: string): void {
    this.#received += text;
    this.events++;
    this.#onProgress();
  }

  #end(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#endedEarly = !this.#isFinished;
    this.events++;
    this.#onProgress();
    this.#onEnded();
  }

  #hasAnswers(): boolean {
    const { echo } = this.#run.case.expected;
    if (echo !== '') return this.#received.endsWith(`\r\n\r\n${echo.replaceAll(TAG, this.#tag)}`);
    return this.#received.split(`${READ_FIELD}: `).length > this.#answersWanted;
  }

  #within(begin: (done: () => void) => void, ms = WAIT_MS): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      begin(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function piecesOf(bytes: string, cuts: readonly number[]): string[] {
  const at = [0, ...cuts, bytes.length];
  return at.slice(1).map((end, i) => bytes.slice(at[i], end));
}
