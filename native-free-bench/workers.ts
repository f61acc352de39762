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

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { availableParallelism, cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { createAuthority } from '../test/cluster/certificates.ts';
import { cpuMs, load, type Measured, median, rssMib, startBackend, startMeasured } from './measured.ts';

const WORKERS = [1, 2, 3, 4];
const ROUNDS = 5;
const WARM_SECONDS = 1;
const SECONDS = 4;
const CONNECTIONS = 64;
const IDLE_MS = 10_000;
const OPEN = { plain: 4_000, tls: 2_000 };
type Kind = keyof typeof OPEN;

interface Subject extends Measured {
  readonly kind: Kind;
  readonly workers: number;
  readonly rounds: { perSecond: number; cpuUs: number; p50: number; p99: number }[];
  idle: { rss: number; cpu: number };
  /** MiB, after the last round. */
  loadedRss: number;
}

const folder = mkdtempSync(join(tmpdir(), 'stekbal-bench-'));
const { certificate, key } = createAuthority().issue('/CN=localhost', { names: ['localhost'] });
writeFileSync(join(folder, 'a.crt'), certificate);
writeFileSync(join(folder, 'a.key'), key);
const backend = await startBackend();
const subjects: Subject[] = [];
try {
  for (const kind of ['plain', 'tls'] as const)
    for (const workers of WORKERS) subjects.push(await start(kind, workers));
  const machine = `${availableParallelism()} cores, ${cpus()[0]?.model ?? 'unknown'}, Linux ${release()}`;
  process.stdout.write(`Node ${process.version}, ${machine}, load average before ${loadavg()[0]?.toFixed(2)}\n\n`);
  for (const subject of subjects) await measureIdle(subject);
  for (let round = 0; round < ROUNDS; round++) for (const subject of subjects) await measureLoad(subject);
  printTable();
  for (const kind of ['plain', 'tls'] as const) await measureConnections(kind);
} finally {
  const ended = [backend, ...subjects].map(({ process }) => new Promise((resolve) => process.once('close', resolve)));
  for (const { process } of [backend, ...subjects]) process.kill('SIGKILL');
  await Promise.all(ended);
  rmSync(folder, { recursive: true, force: true });
}

async function start(kind: Kind, workers: number): Promise<Subject> {
  const file = join(folder, `${kind}-${workers}.yaml`);
  const secure = kind === 'tls' ? ', tls: {certificates: [{cert_file: a.crt, key_file: a.key}]}' : '';
  writeFileSync(
    file,
    `workers: ${workers}\nlisteners: [{address: "127.0.0.1:0", service: s${secure}}]\n` +
      `pools: {p: {nodes: ["127.0.0.1:${backend.port}"]}}\nservices: {s: {pool: p, affinity: yes}}\n`,
  );
  const measured = await startMeasured(file);
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
  await inTurn(subject, async () => {
    await load(url, CONNECTIONS, WARM_SECONDS);
    const before = cpuMs(pid);
    const { '2xx': answered, duration, latency } = await load(url, CONNECTIONS, SECONDS);
    const cpuUs = ((cpuMs(pid) - before) * 1_000) / answered;
    rounds.push({ perSecond: answered / duration, cpuUs, p50: latency.p50, p99: latency.p99 });
    subject.loadedRss = rssMib(pid);
  });
}

/** Idle connections that have had no request, on one thread. */
async function measureConnections(kind: Kind): Promise<void> {
  const subject = subjects.find((one) => one.kind === kind && one.workers === 1) as Subject;
  await inTurn(subject, async () => {
    const before = rssMib(subject.pid);
    const sockets: net.Socket[] = [];
    for (let i = 0; i < OPEN[kind]; i++) sockets.push(await open(kind, subject.port));
    const kib = ((rssMib(subject.pid) - before) * 1024) / OPEN[kind];
    process.stdout.write(`${kind}: ${kib.toFixed(1)} KiB a connection, of ${OPEN[kind]} idle ones\n`);
    for (const socket of sockets) socket.destroy();
  });
}

function open(kind: Kind, port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1' };
    const socket = kind === 'tls' ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options);
    socket.once(kind === 'tls' ? 'secureConnect' : 'connect', () => resolve(socket)).once('error', reject);
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
