/**
 * Whether a request costs the same in a small pool and in one of 100,000 nodes, on a listener of one host and of 10,000; and
 * what so large a configuration takes to start and to hold.
 *
 *   node native-free-bench/scale.ts [CASE...]      all of CASES unless said otherwise, about five minutes
 *
 * Both sizes take the same load, in turns, each from a program of its own; the one whose turn it is not is stopped (SIGSTOP).
 * The nodes are addresses of 127.0.0.0/8 that one backend process answers at. So many of them as are used are used in
 * either pool: a request to a node that the thread holds no connection to opens one, which costs more than all the rest,
 * and in 100,000 nodes drawn at random nearly each would. Where the balancer draws from all nodes, no connection is kept in
 * either. CPU time a request, medians of the rounds and of their ratios. A quiet machine, please.
 *
 * Non-goals: requests a second; what the kernel does with 100,000 backends.
 */

import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { backendId } from '../src/affinity/backend-id.ts';
import { median } from './figures.ts';
import { machineLine } from './machine.ts';
import { type Measured, startMeasured } from './measured.ts';
import { cpuMs, end, rssMib, start, temporaryFolder } from './processes.ts';

const CONNECTIONS = 32;
const ROUNDS = 7;
const WARM_MS = 1_500;
const ROUND_MS = 2_000;
const NODES = 100_000;
const HOSTS = 10_000;
/** Nodes or hosts that requests go to, where not said otherwise. */
const USED = 8;
const OK = Buffer.from('200');
/** Answers whatever is asked of it; a request comes in one piece. */
const BACKEND = `
  const answer = 'HTTP/1.1 200 OK\\r\\nContent-Length: 120\\r\\n\\r\\n' + 'x'.repeat(120);
  const server = require('node:net').createServer({ noDelay: true }, (socket) => {
    socket.on('data', () => socket.write(answer)).on('error', () => {});
  });
  server.listen({ port: 0, host: '0.0.0.0', backlog: 4096 }, () => process.send(server.address().port));
`;

interface Size {
  readonly nodes: number;
  /** Of the listener, every other a wildcard. */
  readonly hosts: number;
  /** Nodes or hosts that requests go to: by cookie, or by Host. */
  readonly used: number;
}

interface Case {
  readonly small: Size;
  readonly large: Size;
  /** Keys of the service. */
  readonly service: string;
  readonly heads: (size: Size, port: number) => string[];
}

const CASES: Readonly<Record<string, Case>> = {
  'sticky, 8 nodes used': nodesCase(USED, 'affinity: yes', cookies),
  'sticky, 1,000 nodes used': nodesCase(1_000, 'affinity: yes', cookies),
  'domain mode': nodesCase(USED, 'affinity: yes, affinity_use_domain: yes', domains),
  least_conn: drawnCase('least_conn'),
  round_robin: drawnCase('round_robin'),
  random: drawnCase('random'),
  'exact hosts': hostsCase((i) => `h${2 * i}.example.com`),
  'wildcard hosts': hostsCase((i) => `www.h${2 * i + 1}.example.com`),
};

const folder = temporaryFolder();
const chosen = process.argv.slice(2);
for (const name of chosen) if (!(name in CASES)) throw new Error(`no case ${name}: ${Object.keys(CASES).join('; ')}`);
const port = await startAnswering();
process.stdout.write(`${machineLine()}\n\n`);
process.stdout.write('| | small | large | ratio | started, s | MiB |\n| --- | --- | --- | --- | --- | --- |\n');
for (const [name, one] of Object.entries(CASES))
  if (chosen.length === 0 || chosen.includes(name)) process.stdout.write(await measure(name, one, port));
// takes with it what it started
process.exit();

function nodesCase(used: number, service: string, heads: Case['heads']): Case {
  return {
    small: { nodes: Math.max(10, used), hosts: 0, used },
    large: { nodes: NODES, hosts: 0, used },
    service,
    heads,
  };
}

/** Any node may be the next, and no connection is kept. */
function drawnCase(balance: string): Case {
  return {
    small: { nodes: 10, hosts: 0, used: 10 },
    large: { nodes: NODES, hosts: 0, used: NODES },
    service: `balance: ${balance}, persist_backend: no`,
    heads: () => ['Host: a\r\n'],
  };
}

/** One host is asked for in either: 10,000 in turn are 10,000 strings that are in nobody's cache. */
function hostsCase(host: (i: number) => string): Case {
  const heads = ({ hosts }: Size) => [host(Math.floor((hosts - 1) / 4))].map((name) => `Host: ${name}\r\n`);
  return {
    small: { nodes: 1, hosts: 2, used: 1 },
    large: { nodes: 1, hosts: HOSTS, used: 1 },
    service: 'affinity: no',
    heads,
  };
}

/** The cookies of nodes that are spread over the whole pool. */
function cookies({ nodes, used }: Size, port: number): string[] {
  const step = Math.floor(nodes / used);
  return Array.from({ length: used }, (_, i) => {
    return `Host: a\r\nCookie: X-SERVERID=${backendId(addressOf(i * step, port))}\r\n`;
  });
}

function domains({ used }: Size): string[] {
  return Array.from({ length: used }, (_, i) => `Host: ${String.fromCharCode(97 + i)}.example.com\r\n`);
}

function addressOf(i: number, port: number): string {
  return `127.${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}:${port}`;
}

async function measure(name: string, one: Case, port: number): Promise<string> {
  const sides = [await startSide(one, one.small, port), await startSide(one, one.large, port)] as const;
  for (let round = 0; round < ROUNDS; round++) for (const side of sides) await side.measure();
  const [small, large] = sides;
  const ratio = median(small.us.map((us, i) => (large.us[i] as number) / us));
  const figures = [median(small.us).toFixed(1), median(large.us).toFixed(1), ratio.toFixed(2)];
  const taken = [large.startedS.toFixed(1), Math.round(rssMib(large.measured.pid))];
  await Promise.all(sides.map(({ measured }) => end(measured.process)));
  return `| ${[name, ...figures, ...taken].join(' | ')} |\n`;
}

interface Side {
  readonly measured: Measured;
  /** CPU time a request, by round. */
  readonly us: number[];
  readonly startedS: number;
  measure(): Promise<void>;
}

async function startSide(one: Case, size: Size, port: number): Promise<Side> {
  const file = join(folder, `${size.nodes}-${size.hosts}.yaml`);
  const hosts = Array.from({ length: size.hosts }, (_, i) => `${i % 2 ? '"*.' : '"'}h${i}.example.com": s`);
  const nodes = Array.from({ length: size.nodes }, (_, i) => `      - "${addressOf(i, port)}"\n`);
  writeFileSync(
    file,
    `workers: 1\nlisteners: [{address: "127.0.0.1:0", service: s, hosts: {${hosts.join(', ')}}}]\n` +
      `pools:\n  p:\n    nodes:\n${nodes.join('')}services: {s: {pool: p, ${one.service}}}\n`,
  );
  const began = performance.now();
  const measured = await startMeasured(file);
  const startedS = (performance.now() - began) / 1_000;
  const heads = one.heads(size, port).map((head) => `GET / HTTP/1.1\r\n${head}\r\n`);
  // what a thread keeps of a node it makes at the node's first request
  for (let answered = 0; answered < 2 * size.used; ) answered += await ask(measured.port, heads, WARM_MS);
  measured.process.kill('SIGSTOP');
  const us: number[] = [];
  const measure = async () => {
    measured.process.kill('SIGCONT');
    const before = cpuMs(measured.pid);
    const answered = await ask(measured.port, heads, ROUND_MS);
    us.push(((cpuMs(measured.pid) - before) * 1_000) / answered);
    measured.process.kill('SIGSTOP');
  };
  return { measured, us, startedS, measure };
}

/** Asks with the heads in turn, all connections together; resolves to the answers, 200 each. */
async function ask(port: number, heads: readonly string[], forMs: number): Promise<number> {
  const end = performance.now() + forMs;
  let asked = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, () => {
      return new Promise<void>((resolve, reject) => {
        const socket = net.connect({ port, host: '127.0.0.1', noDelay: true }, next);
        function next() {
          if (performance.now() < end) socket.write(heads[asked++ % heads.length] as string, 'latin1');
          else socket.destroy();
        }
        // the answer is small: it comes whole
        socket.on('data', (bytes: Buffer) => {
          if (bytes.subarray(9, 12).equals(OK)) next();
          else reject(new Error(bytes.toString('latin1', 0, 200)));
        });
        socket.once('error', reject).once('close', resolve);
      });
    }),
  );
  return asked;
}

async function startAnswering(): Promise<number> {
  const backend = start(process.execPath, ['-e', BACKEND], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return await new Promise<number>((resolve) => backend.once('message', resolve as (port: unknown) => void));
}
