/**
 * Whether a second listener thread carries what the first one does: CPU time a request with one thread and with two, at the
 * same load for each of them.
 *
 *   node native-free-bench/threads.ts      about a minute; wants two cores, and a quiet machine
 *
 * Requests come at a rate, the same for each thread, on the same number of connections: with clients that ask as fast as they
 * are answered (workers.ts) two threads have less to do in each turn of their event loops than one has, and share two cores
 * with client and backend, so that a request costs more without any fault of theirs. Rounds in turns, medians of the rounds
 * and of their ratios. A ratio of 1.1 means that two threads carry 1.8 times what one does, where they have cores of their
 * own.
 *
 * Non-goals: how much a thread carries.
 */

import { readdirSync, readFileSync } from 'node:fs';
import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from './figures.ts';
import { machineLine } from './machine.ts';
import {
  type Kind,
  type Measured,
  openClient,
  startBackend,
  startMeasured,
  writeCertificate,
  writeConfig,
} from './measured.ts';
import { temporaryFolder } from './processes.ts';

const WORKERS = [1, 2] as const;
/** For each thread. */
const CONNECTIONS = 32;
const RATE = 4_000;
const ROUNDS = 5;
const WARM_MS = 1_500;
const ROUND_MS = 3_000;
const REQUEST = 'GET /120 HTTP/1.1\r\nHost: a\r\n\r\n';
const KINDS: readonly Kind[] = ['plain', 'tls'];

interface Subject extends Measured {
  readonly workers: number;
  readonly sockets: readonly net.Socket[];
  /** Of the listener threads, by round. */
  readonly us: number[];
}

const folder = temporaryFolder();
writeCertificate(folder);
const backend = await startBackend();
process.stdout.write(`${machineLine()}; ${RATE} requests/s a thread\n\n`);
process.stdout.write('| | 1 thread, CPU us/request | 2 threads | ratio |\n| --- | --- | --- | --- |\n');
for (const kind of KINDS) {
  const one = await start(kind, WORKERS[0]);
  const two = await start(kind, WORKERS[1]);
  for (let round = 0; round < ROUNDS; round++) for (const subject of [one, two]) await measure(subject);
  const ratio = median(two.us.map((us, i) => us / (one.us[i] as number)));
  const figures = [median(one.us).toFixed(1), median(two.us).toFixed(1), ratio.toFixed(2)];
  process.stdout.write(`| ${[kind, ...figures].join(' | ')} |\n`);
  for (const { sockets } of [one, two]) for (const socket of sockets) socket.destroy();
}
// takes with it what it started
process.exit();

async function start(kind: Kind, workers: number): Promise<Subject> {
  const measured = await startMeasured(writeConfig(folder, kind, workers, backend));
  const sockets: net.Socket[] = [];
  while (sockets.length < CONNECTIONS * workers) sockets.push(await openClient(kind, measured.port));
  const subject = { ...measured, workers, sockets, us: [] };
  await ask(subject, WARM_MS);
  measured.process.kill('SIGSTOP');
  return subject;
}

async function measure(subject: Subject): Promise<void> {
  subject.process.kill('SIGCONT');
  const before = threadTimes(subject.pid);
  const answered = await ask(subject, ROUND_MS);
  const spent = [...threadTimes(subject.pid)].map(([thread, ns]) => ns - (before.get(thread) ?? 0));
  // the busiest ones: the listener threads
  const listeners = spent.sort((a, b) => b - a).slice(0, subject.workers);
  subject.us.push(listeners.reduce((sum, ns) => sum + ns, 0) / answered / 1_000);
  subject.process.kill('SIGSTOP');
}

/** Sends at the rate, on connections in turn that wait for no answer; resolves to the answers, when all have come. */
async function ask({ sockets, workers }: Subject, forMs: number): Promise<number> {
  const waiting = new Set<net.Socket>();
  let sent = 0;
  let turn = 0;
  // the answer is small: it comes whole
  for (const socket of sockets) socket.removeAllListeners('data').on('data', () => waiting.delete(socket));
  const began = performance.now();
  for (let ms = 0; ms < forMs; ms = performance.now() - began) {
    const due = Math.floor((ms * RATE * workers) / 1_000);
    for (let tries = 0; sent < due && tries < sockets.length; tries++) {
      const socket = sockets[turn++ % sockets.length] as net.Socket;
      if (waiting.has(socket)) continue;
      waiting.add(socket);
      socket.write(REQUEST);
      sent++;
    }
    await sleep(1);
  }
  while (waiting.size > 0) await sleep(1);
  return sent;
}

/** Nanoseconds on a core of each thread of a process: Documentation/scheduler/sched-stats.rst of the kernel. */
function threadTimes(pid: number): Map<string, number> {
  const time = (thread: string) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0];
  return new Map(readdirSync(`/proc/${pid}/task`).map((thread) => [thread, Number(time(thread))]));
}
