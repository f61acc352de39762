/**
 * How long a start takes with two listener threads: from exec() to the first request answered.
 *
 *   node native-free-bench/start.ts [ROUNDS]      11 unless said otherwise
 *
 * Of the sources, and of the built package where `npm run build` has made one; cold disks aside: each has a first start that
 * does not count. Rounds of all cases take turns, medians. The steps are what shows from outside: the log line that the
 * member leads says that all code is loaded and the configuration checked, the one that says "serving" that all threads
 * listen. `check` beside it is a run of `stekbal check` on the same file, from exec() to its end.
 *
 * Non-goals: groups of several members, whose start is an election; disks that have not read the files yet.
 */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { createAuthority, writeCredentials } from '../test/cluster/certificates.ts';
import { freePort } from '../test/e2e/cluster-network.ts';
import { median } from './figures.ts';
import { machineLine } from './machine.ts';
import { start, temporaryFolder } from './processes.ts';

const ROUNDS = Number(process.argv[2] ?? 11);
const GOAL_MS = 400;
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const MAINS = ['../src/main.ts', '../dist/src/main.js']
  .map((file) => fileURLToPath(new URL(file, import.meta.url)))
  .filter((file) => existsSync(file));

interface Case {
  readonly name: string;
  readonly isTls: boolean;
  /** YAML besides what all have. */
  readonly more: string;
}

/** From exec(), ms. */
interface Times {
  readonly leads: number;
  readonly serving: number;
  readonly answered: number;
}

const folder = temporaryFolder();
const authority = createAuthority();
const { certificate, key } = authority.issue('/CN=localhost', { names: ['localhost'] });
writeFileSync(join(folder, 'a.crt'), certificate);
writeFileSync(join(folder, 'a.key'), key);
const backend = net.createServer((socket) => socket.on('data', () => socket.write(ANSWER)).on('error', () => {}));
backend.listen(0, '127.0.0.1');
await once(backend, 'listening');
process.stdout.write(`${machineLine()}\n`);
await measure(await cases());
// takes with it what it started
process.exit();

async function measure(all: readonly Case[]): Promise<void> {
  const runs = MAINS.flatMap((main) =>
    all.map((one) => ({ main, ...one, times: [] as Times[], check: [] as number[] })),
  );
  const bare: number[] = [];
  for (let round = -1; round < ROUNDS; round++) {
    const bareMs = await endOf(['--eval', '0']);
    if (round >= 0) bare.push(bareMs);
    for (const run of runs) {
      const file = writeFile(run);
      const check = await endOf([run.main, 'check', '-q', '-c', file]);
      const times = await startOnce(run.main, file, run.isTls);
      if (round < 0) continue;
      run.check.push(check);
      run.times.push(times);
    }
  }
  process.stdout.write(`Node alone: ${median(bare).toFixed(0)} ms; ${ROUNDS} rounds\n\n`);
  process.stdout.write(
    '| | check, ms | leads | serving | answered | min to max | |\n| --- | --- | --- | --- | --- | --- | --- |\n',
  );
  for (const { main, name, times, check } of runs) {
    const figures = (['leads', 'serving', 'answered'] as const).map((of) => median(times.map((one) => one[of])));
    const answered = times.map((one) => one.answered);
    const range = `${Math.min(...answered).toFixed(0)} to ${Math.max(...answered).toFixed(0)}`;
    const cells = [median(check), ...figures].map((ms) => ms.toFixed(0));
    const verdict = (figures[2] as number) < GOAL_MS ? `below ${GOAL_MS}` : 'above';
    const from = main.endsWith('.ts') ? 'sources' : 'built';
    process.stdout.write(`| ${from}, ${name} | ${[...cells, range, verdict].join(' | ')} |\n`);
  }
}

async function cases(): Promise<Case[]> {
  const admin = 'admin: {address: "127.0.0.1:0"}\n';
  writeCredentials(folder, 'peer', [authority], authority.issue('/CN=localhost'));
  const port = await freePort();
  writeFileSync(join(folder, 'servers.yaml'), `- {server_id: 1, address: 127.0.0.1, port: ${port}}\n`);
  const share =
    `stek_share: {server_id: 1, address: 127.0.0.1, port: ${port}, key_update_interval: 3600,\n` +
    '  server_list_file: servers.yaml, root_cert_file: peer-root.pem, server_cert_file: peer-cert.pem,\n' +
    '  server_key_file: peer-key.pem}\n';
  return [
    { name: 'plain', isTls: false, more: '' },
    { name: 'TLS', isTls: true, more: '' },
    { name: 'TLS, admin', isTls: true, more: admin },
    { name: 'TLS, group of one', isTls: true, more: share },
  ];
}

function writeFile({ isTls, more }: Case): string {
  const secure = isTls ? ', tls: {certificates: [{cert_file: a.crt, key_file: a.key}]}' : '';
  const { port } = backend.address() as AddressInfo;
  const file = join(folder, 'stekbal.yaml');
  writeFileSync(
    file,
    `workers: 2\nlisteners: [{address: "127.0.0.1:0", service: s${secure}}]\npools: {p: {nodes: ["127.0.0.1:${port}"]}}\n` +
      `services: {s: {pool: p, affinity: yes, persist_client_idle_timeout: 1h}}\n${more}`,
  );
  return file;
}

async function startOnce(main: string, file: string, isTls: boolean): Promise<Times> {
  const began = performance.now();
  const program = start(process.execPath, [main, 'run', '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    const { leads, serving, port } = await readLog(program);
    await firstAnswer(port, isTls);
    return { leads: leads - began, serving: serving - began, answered: performance.now() - began };
  } finally {
    const ended = once(program, 'close');
    program.kill('SIGTERM');
    await ended;
  }
}

/** Rejects, with the log, where the program ends before it serves. */
function readLog({ stderr }: ChildProcess): Promise<{ leads: number; serving: number; port: number }> {
  let log = '';
  let leads = 0;
  return new Promise((resolve, reject) => {
    stderr?.on('data', (chunk) => {
      log += chunk;
      if (leads === 0 && log.includes('leads the cluster')) leads = performance.now();
      const port = /"addresses":\["127\.0\.0\.1:(\d+)"\]/.exec(log)?.[1];
      if (port !== undefined) resolve({ leads, serving: performance.now(), port: Number(port) });
    });
    stderr?.once('close', () => reject(new Error(`the program ended:\n${log}`)));
  });
}

async function firstAnswer(port: number, isTls: boolean): Promise<void> {
  const at = { port, host: '127.0.0.1' };
  const socket = isTls ? tls.connect({ ...at, rejectUnauthorized: false }) : net.connect(at);
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  if (!answer.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(`answered: ${answer}`);
}

/** Runs Node to its end; resolves to how long that took, ms. */
async function endOf(argv: readonly string[]): Promise<number> {
  const began = performance.now();
  const program = start(process.execPath, argv, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(program, 'exit')) as [number];
  if (code !== 0) throw new Error(`${argv.join(' ')}: exit code ${code}`);
  return performance.now() - began;
}
