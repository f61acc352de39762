/** Load on a program by a process of its own, and what the program used meanwhile. */

import { fileURLToPath } from 'node:url';
import { start } from './processes.ts';

interface Timed {
  /** Before the time that counts: for connections to be opened, and what slept to wake up. */
  readonly leadMs: number;
  readonly forMs: number;
}

export interface RequestLoad extends Timed {
  readonly url: string;
  readonly connections: number;
  /** Cookie headers, one a connection, in turns. */
  readonly cookies: readonly string[];
  /** 0: GET, without content. */
  readonly uploadBytes: number;
  /** Bytes that an answer has at least. */
  readonly answerBytes: number;
}

export interface HandshakeLoad extends Timed {
  readonly port: number;
  readonly version: 'TLSv1.2' | 'TLSv1.3';
  readonly isResumed: boolean;
  /** Connections at a time. */
  readonly clients: number;
}

/** Milliseconds. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

export type LoadMessage =
  | { readonly kind: 'begin' | 'end'; readonly done: number }
  | { readonly kind: 'result'; readonly faults: readonly string[]; readonly latency: Latency | null };

export interface Loaded {
  /** Requests or handshakes within the time that counts. More than 0. */
  readonly done: number;
  /** What `cpu` grew by meanwhile. */
  readonly cpuMs: number;
  /** null: not known. */
  readonly latency: Latency | null;
}

/** Kept connections. Rejects where a request failed. */
export function loadRequests(load: RequestLoad, cpu: () => number, cores: string | null = null): Promise<Loaded> {
  return run('./load-requests.ts', load, cpu, cores);
}

/** A connection for each handshake. Rejects where one failed, or was not as asked for. */
export function loadHandshakes(load: HandshakeLoad, cpu: () => number, cores: string | null = null): Promise<Loaded> {
  return run('./load-handshakes.ts', load, cpu, cores);
}

async function run(
  program: string,
  load: RequestLoad | HandshakeLoad,
  cpu: () => number,
  cores: string | null,
): Promise<Loaded> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const client = start(process.execPath, [file, JSON.stringify(load)], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    cores,
  });
  const marks: { done: number; cpuMs: number }[] = [];
  let result: Extract<LoadMessage, { kind: 'result' }> | null = null;
  let said = '';
  client.stderr?.on('data', (chunk) => {
    said += chunk;
  });
  client.on('message', (message: LoadMessage) => {
    if (message.kind === 'result') result = message;
    else marks.push({ done: message.done, cpuMs: usedBy(cpu) });
  });
  await new Promise((resolve) => client.once('close', resolve));
  const { faults, latency } = result ?? { faults: [`the load ended: ${said.trim()}`], latency: null };
  if (faults.length > 0) throw new Error(faults.join(', '));
  const [began, ended] = marks;
  const done = (ended?.done ?? 0) - (began?.done ?? 0);
  if (began === undefined || ended === undefined || done === 0) throw new Error('nothing was answered');
  const cpuMs = ended.cpuMs - began.cpuMs;
  if (Number.isNaN(cpuMs)) throw new Error('the program ended');
  return { done, cpuMs, latency };
}

/** NaN where what is measured has ended: the load says how it went. */
function usedBy(cpu: () => number): number {
  try {
    return cpu();
  } catch {
    return Number.NaN;
  }
}
