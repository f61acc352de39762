/** A backend on bare bytes that plays a case's script to the request for its path, and answers probes with what they ask. */

import type net from 'node:net';
import type { TestContext } from 'node:test';
import { type Backend, rawBackend } from '../harness.ts';
import { FIN, RECEIVED, type ResponseCase, RST, type Step } from './response-case.ts';

export interface CaseBackend extends Backend {
  /** The case that the next request for CASE_PATH plays. */
  play(one: ResponseCase, isByteByByte?: boolean): Performance;
}

/** One performance of a script. */
export interface Performance {
  /** The connection on which it was played last; it may be tried again on another one. */
  readonly socket: net.Socket | null;
  /** Of its other end; 0 before. */
  readonly port: number;
  /** Resolves when all of the script is done. */
  readonly done: Promise<void>;
  /** The client has received something. */
  received(): void;
}

export const CASE_PATH = '/case';
/** What a probe's path begins with; its answer's body is the path and the port that the backend sees. */
export const PROBE = '/probe/';

const REQUEST = /^([A-Z]+) (\S+) HTTP\/1\.[01]\r\n([\s\S]*?\r\n)?\r\n/;

export async function caseBackend(t: TestContext): Promise<CaseBackend> {
  let stage: Stage | null = null;
  const backend = await rawBackend(t, (socket) => {
    let text = '';
    let bodyBytes = 0;
    socket.setNoDelay(true).setMaxListeners(0);
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (;;) {
        const skipped = Math.min(bodyBytes, text.length);
        bodyBytes -= skipped;
        text = text.slice(skipped);
        const [head, , path = '', fields = ''] = REQUEST.exec(text) ?? [];
        if (head === undefined) return;
        text = text.slice(head.length);
        bodyBytes = Number(/^content-length: (\d+)\r$/im.exec(fields)?.[1] ?? 0);
        if (path.startsWith(PROBE)) answerProbe(socket, path);
        else void stage?.play(socket);
      }
    });
  });
  const play = (one: ResponseCase, isByteByByte = false) => {
    stage = new Stage(one.script, isByteByByte);
    return stage;
  };
  return Object.assign(backend, { play });
}

function answerProbe(socket: net.Socket, path: string): void {
  const body = `${path} ${socket.remotePort}`;
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`, 'latin1');
}

class Stage implements Performance {
  socket: net.Socket | null = null;
  port = 0;
  readonly done: Promise<void>;
  readonly #script: readonly Step[];
  readonly #isByteByByte: boolean;
  readonly #received: Promise<void>;
  received!: () => void;
  #finish!: () => void;

  constructor(script: readonly Step[], isByteByByte: boolean) {
    this.#script = script;
    this.#isByteByByte = isByteByByte;
    this.#received = new Promise((resolve) => {
      this.received = resolve;
    });
    this.done = new Promise((resolve) => {
      this.#finish = resolve;
    });
  }

  async play(socket: net.Socket): Promise<void> {
    this.socket = socket;
    this.port = socket.remotePort ?? 0;
    for (const step of this.#script) {
      if (step === FIN) socket.end();
      else if (step === RST) breakOff(socket);
      else if (step === RECEIVED) await this.#received;
      else if (this.#isByteByByte) await writeBytes(socket, step);
      else socket.write(step, 'latin1');
    }
    this.#finish();
  }
}

/** A reset, unless an end is on its way already: Node never gets over the two together, and the process would not end. */
function breakOff(socket: net.Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

async function writeBytes(socket: net.Socket, text: string): Promise<void> {
  for (const byte of text) {
    if (!socket.writable) return;
    await new Promise((resolve) => socket.write(byte, 'latin1', () => setImmediate(resolve)));
  }
}
