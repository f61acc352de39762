/**
 * What a listener thread costs and brings: requests a second, CPU time a request and latency for one to four of them, plain
 * and with TLS; what each costs idle; what a connection costs.
 *
 *   node native-free-bench/workers.ts            a table for docs/tuning.md
 *
 * A program for each number of threads, in turns: those whose turn it is not are stopped (SIGSTOP). Medians of the rounds.
 * Client, program and backend share the machine: with fewer cores than they need, requests a second say how the three share
 * them, and CPU time a request is the figure to compare. A quiet machine, please: the load average is printed.
 *
 * Non-goals: what other machines do; the most that is possible.
 */

import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { median } from './figures.ts';
import { type Latency, loadRequests } from './load.ts';
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
import { cpuMs, rssMib, temporaryFolder } from './processes.ts';

const WORKERS = [1, 2, 3, 4];
const ROUNDS = 5;
const LEAD_MS = 1_000;
const ROUND_MS = 4_000;
const CONNECTIONS = 64;
const IDLE_MS = 10_000;
const OPEN = { plain: 4_000, tls: 2_000 };

interface Subject extends Measured {
  readonly kind: Kind;
  readonly workers: number;
  readonly rounds: { perSecond: number; cpuUs: number; p50: number; p99: number }[];
  idle: { rss: number; cpu: number };
  /** MiB, after the last round. */
  loadedRss: number;
}

const folder = temporaryFolder();
writeCertificate(folder);
const backend = await startBackend();
const subjects: Subject[] = [];
for (const kind of ['plain', 'tls'] as const) for (const workers of WORKERS) subjects.push(await start(kind, workers));
process.stdout.write(`${machineLine()}\n\n`);
for (const subject of subjects) await measureIdle(subject);
for (let round = 0; round < ROUNDS; round++) for (const subject of subjects) await measureLoad(subject);
printTable();
for (const kind of ['plain', 'tls'] as const) await measureConnections(kind);
// takes with it what it started
process.exit();

async function start(kind: Kind, workers: number): Promise<Subject> {
  const measured = await startMeasured(writeConfig(folder, kind, workers, backend));
  measured.process.kill('SIGSTOP');
  return { ...measured, kind, workers, rounds: [], idle: { rss: 0, cpu: 0 }, loadedRss: 0 };
}

/** Before it has had a request. */
async function measureIdle(subject: Subject): Promise<void> {
  await inTurn(subject, async () => {
    const before = cpuMs(subject.pid);
    const began = performance.now();
    await sleep(IDLE_MS);
    const cpu = (100 * (cpuMs(subject.pid) - before)) / (performance.now() - began);
    subject.idle = { rss: rssMib(subject.pid), cpu };
  });
}

async function measureLoad(subject: Subject): Promise<void> {
  const { kind, port, pid, rounds } = subject;
  const url = `${kind === 'tls' ? 'https' : 'http'}://127.0.0.1:${port}/120`;
  const load = { url, connections: CONNECTIONS, leadMs: LEAD_MS, forMs: ROUND_MS };
  await inTurn(subject, async () => {
    const loaded = await loadRequests({ ...load, cookies: [], uploadBytes: 0, answerBytes: 120 }, () => cpuMs(pid));
    const { p50, p99 } = loaded.latency as Latency;
    rounds.push({ perSecond: (loaded.done * 1_000) / ROUND_MS, cpuUs: (loaded.cpuMs * 1_000) / loaded.done, p50, p99 });
    subject.loadedRss = rssMib(pid);
  });
}

/** Idle connections that have had no request, on one thread. */
async function measureConnections(kind: Kind): Promise<void> {
  const subject = subjects.find((one) => one.kind === kind && one.workers === 1) as Subject;
  await inTurn(subject, async () => {
    const before = rssMib(subject.pid);
    const sockets: net.Socket[] = [];
    for (let i = 0; i < OPEN[kind]; i++) sockets.push(await openClient(kind, subject.port));
    const kib = ((rssMib(subject.pid) - before) * 1024) / OPEN[kind];
    process.stdout.write(`${kind}: ${kib.toFixed(1)} KiB a connection, of ${OPEN[kind]} idle ones\n`);
    for (const socket of sockets) socket.destroy();
  });
}

async function inTurn({ process }: Subject, work: () => Promise<void>): Promise<void> {
  process.kill('SIGCONT');
  await work();
  process.kill('SIGSTOP');
}

function printTable(): void {
  const head = [
    '',
    'workers',
    'requests/s',
    'CPU us/request',
    'p50 ms',
    'p99 ms',
    'idle % of a core',
    'idle MiB',
    'MiB after',
  ];
  process.stdout.write(`| ${head.join(' | ')} |\n|${' --- |'.repeat(head.length)}\n`);
  for (const { kind, workers, rounds, idle, loadedRss } of subjects) {
    const figure = (name: 'perSecond' | 'cpuUs' | 'p50' | 'p99') => median(rounds.map((round) => round[name]));
    const row = [
      kind,
      workers,
      Math.round(figure('perSecond')),
      figure('cpuUs').toFixed(1),
      figure('p50'),
      figure('p99'),
    ];
    process.stdout.write(
      `| ${[...row, idle.cpu.toFixed(1), Math.round(idle.rss), Math.round(loadedRss)].join(' | ')} |\n`,
    );
  }
}
