/**
 * What idle connections cost: memory for each, plain and with TLS, beside nginx's where that is installed; and how much slower
 * the busy ones get by them.
 *
 *   node native-free-bench/idle.ts [CONNECTIONS]      10,000 unless said otherwise, and 64 busy ones
 *
 * Every idle connection has had a request before, as those of real clients. Rounds with and without them take turns, with a
 * program each, medians of the rounds; the one whose turn it is not is stopped (SIGSTOP). Client, program and backend share
 * the machine. A quiet machine, please: the load average is printed.
 *
 * Non-goals: how long a request takes elsewhere; how many connections there can be.
 */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import type net from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { descriptorShares, OPEN_FILES_MAX } from '../src/control/open-files.ts';
import { freePort } from '../test/e2e/cluster-network.ts';
import { eventually } from '../test/e2e/harness.ts';
import { canConnect } from '../test/e2e/tls-peers.ts';
import { median } from './figures.ts';
import { machineLine } from './machine.ts';
import { type Kind, type Measured, openClient, startBackend, startMeasured, writeCertificate } from './measured.ts';
import { cpuMs, rssMib, start, temporaryFolder } from './processes.ts';

const IDLE = Number(process.argv[2] ?? 10_000);
const BUSY = 64;
const ROUNDS = 7;
const WARM_MS = 1_000;
const ROUND_MS = 4_000;
const AT_ONCE = 50;
const REQUEST = 'GET /120 HTTP/1.1\r\nHost: a\r\n\r\n';
const KINDS: readonly Kind[] = ['plain', 'tls'];

interface Subject extends Measured {
  readonly name: string;
  readonly idle: net.Socket[];
  readonly rounds: { p50: number; p99: number; cpuUs: number }[];
}

const ASKED = IDLE + 2 * BUSY;
const { connectionsMax } = descriptorShares(
  { workers: 1, listeners: [null], limits: { connectionsMax: ASKED } },
  OPEN_FILES_MAX,
);
if (connectionsMax < ASKED) {
  process.stderr.write(
    `the limit on open files allows ${connectionsMax} connections; ulimit -n 65536, or fewer of them\n`,
  );
  process.exit(1);
}
const folder = temporaryFolder();
writeCertificate(folder);
const backend = await startBackend();
process.stdout.write(`${machineLine()}\n\n`);
for (const kind of KINDS) await measureKind(kind);
// takes with it what it started
process.exit();

async function measureKind(kind: Kind): Promise<void> {
  // one after the other: this process has descriptors for one set of connections
  const nginx = await nginxKib(kind);
  const [without, beside] = [await startSubject(kind, 'with none'), await startSubject(kind, `with ${IDLE} idle`)];
  const kib = await openIdle(kind, beside, () => rssMib(beside.pid));
  process.stdout.write(`${kind}: ${kib.toFixed(1)} KiB an idle connection\n`);
  process.stdout.write(nginx === null ? 'nginx is not installed\n' : `nginx: ${nginx.toFixed(1)} KiB\n`);
  for (let round = 0; round < ROUNDS; round++) {
    for (const subject of [without, beside]) {
      subject.process.kill('SIGCONT');
      await busy(kind, subject.port, WARM_MS);
      const before = cpuMs(subject.pid);
      const timesMs = await busy(kind, subject.port, ROUND_MS);
      const cpuUs = ((cpuMs(subject.pid) - before) * 1_000) / timesMs.length;
      subject.rounds.push({ p50: quantile(timesMs, 0.5), p99: quantile(timesMs, 0.99), cpuUs });
      subject.process.kill('SIGSTOP');
    }
  }
  process.stdout.write('| | p50 ms | p99 ms | CPU us/request |\n| --- | --- | --- | --- |\n');
  const figures = [without, beside].map(({ name, rounds }) => {
    const figure = (of: 'p50' | 'p99' | 'cpuUs') => median(rounds.map((round) => round[of]));
    const p99 = figure('p99');
    process.stdout.write(
      `| ${kind}, ${name} | ${figure('p50').toFixed(2)} | ${p99.toFixed(2)} | ${figure('cpuUs').toFixed(1)} |\n`,
    );
    return p99;
  });
  process.stdout.write(`p99 ratio ${((figures[1] as number) / (figures[0] as number)).toFixed(2)}\n\n`);
  for (const subject of [without, beside]) {
    for (const socket of subject.idle) socket.destroy();
    subject.process.kill('SIGKILL');
  }
}

async function startSubject(kind: Kind, name: string): Promise<Subject> {
  const file = join(folder, `${kind}.yaml`);
  const secure = kind === 'tls' ? ', tls: {certificates: [{cert_file: a.crt, key_file: a.key}]}' : '';
  writeFileSync(
    file,
    `workers: 1\nlimits: {max_connections: ${ASKED}}\nlisteners: [{address: "127.0.0.1:0", service: s${secure}}]\n` +
      `pools: {p: {nodes: ["127.0.0.1:${backend.port}"]}}\n` +
      'services: {s: {pool: p, affinity: yes, persist_client_idle_timeout: 1h}}\n',
  );
  const measured = await startMeasured(file);
  // what a first load makes it keep is not the idle connections' to pay for
  await busy(kind, measured.port, 2 * WARM_MS);
  return { ...measured, name, idle: [], rounds: [] };
}

/** Opens the idle connections; resolves to what each has taken, KiB, by `mib` before and after. */
async function openIdle(
  kind: Kind,
  { idle, port }: Pick<Subject, 'idle' | 'port'>,
  mib: () => number,
): Promise<number> {
  const before = mib();
  while (idle.length < IDLE) {
    idle.push(...(await Promise.all(Array.from({ length: AT_ONCE }, () => openClient(kind, port)))));
    await Promise.all(idle.slice(-AT_ONCE).map(ask));
  }
  // for the collector to take what the handshakes left
  await sleep(3_000);
  return ((mib() - before) * 1024) / idle.length;
}

/** BUSY connections that ask all the time; resolves to how long each request took, ms. */
async function busy(kind: Kind, port: number, forMs: number): Promise<number[]> {
  const times: number[] = [];
  const sockets = await Promise.all(Array.from({ length: BUSY }, () => openClient(kind, port)));
  const end = performance.now() + forMs;
  await Promise.all(
    sockets.map(async (socket) => {
      while (performance.now() < end) {
        const began = performance.now();
        await ask(socket);
        times.push(performance.now() - began);
      }
      socket.destroy();
    }),
  );
  return times;
}

/** The answer is small: it comes whole. */
function ask(socket: net.Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject).once('data', () => {
      socket.off('error', reject);
      resolve();
    });
    socket.write(REQUEST);
  });
}

/** One nginx worker with the same idle connections; null where there is no nginx. */
async function nginxKib(kind: Kind): Promise<number | null> {
  if (spawnSync('nginx', ['-v']).error !== undefined) return null;
  const port = await freePort();
  const secure = kind === 'tls' ? `ssl_certificate ${folder}/a.crt; ssl_certificate_key ${folder}/a.key;` : '';
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; master_process off; error_log /dev/null; pid ${folder}/nginx.pid; worker_rlimit_nofile 100000;
     events { worker_connections 65536; }
     http { access_log off; keepalive_timeout 1h;
       server { listen 127.0.0.1:${port}${kind === 'tls' ? ' ssl' : ''}; ${secure} location / { return 200 ok; } } }`,
  );
  const nginx = start('nginx', ['-c', file, '-p', folder], { stdio: 'ignore' });
  await eventually(() => canConnect(port), 'nginx to listen');
  const idle: net.Socket[] = [];
  const kib = await openIdle(kind, { idle, port }, () => rssMib(nginx.pid as number));
  for (const socket of idle) socket.destroy();
  nginx.kill('SIGKILL');
  return kib;
}

function quantile(values: readonly number[], part: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] as number;
}
