/**
 * What a cluster costs: memory and CPU of idle members, and how long an edit takes until it is applied on all of them.
 *
 *   node native-free-bench/cluster.ts            three and five members, then a table
 *   node native-free-bench/cluster.ts --json     for machines
 *
 * Processes of their own on the loopback, state_dir on the machine's disk (its kind is printed: each entry is synced there),
 * Traffic Server's default timing. The latency is that of an operator's edit: from the POST to one member's admin API until
 * the last member has applied it, seen by asking all of them for their applied index without a pause; asking takes about
 * as long as the resolution printed, and the members that are asked do that work on the same cores. The members' own
 * part, from the POST to its answer (applied and published where it was asked), stands beside it.
 *
 * Non-goals: figures for a network; edits a second.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ClusterStatus } from '../src/cluster/types.ts';
import type { EdgeStatus } from '../src/control/status.ts';
import { createAuthority, writeCredentials } from '../test/cluster/certificates.ts';
import type { Figure } from './figures.ts';
import { machineLine } from './machine.ts';
import { cpuMs, rssMib } from './processes.ts';

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));
const SIZES = [3, 5];
const IDLE_MS = 20_000;
const EDITS = 200;
/** Addresses that edits take turns with: the pool stays small. */
const ADDRESSES = 8;
const DEADLINE_MS = 30_000;
/** statfs(2): where a sync costs nothing. */
const TMPFS_MAGIC = 0x01021994;

interface Member {
  readonly id: number;
  readonly process: ChildProcess;
  readonly socket: string;
  readonly agent: http.Agent;
}

export async function run(): Promise<Record<string, Figure[]>> {
  const results: Record<string, Figure[]> = {};
  for (const size of SIZES) results[`${size} members`] = await runSize(size);
  return results;
}

async function runSize(size: number): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-bench-'));
  const members: Member[] = [];
  try {
    const ports = await freePorts(size);
    for (let id = 1; id <= size; id++) members.push(start(folder, id, ports));
    const leaderId = await settled(members);
    const leader = members.find(({ id }) => id === leaderId) as Member;
    const follower = members.find(({ id }) => id !== leaderId) as Member;
    const idle = await idleFigures({ leader, follower });
    const atLeader = await latencies(members, leader);
    const atFollower = await latencies(members, follower);
    return [...idle, ...latencyFigures('leader', atLeader), ...latencyFigures('follower', atFollower)];
  } finally {
    const ended = members.map(({ process }) => new Promise((resolve) => process.once('close', resolve)));
    for (const { process, agent } of members) {
      agent.destroy();
      process.kill('SIGKILL');
    }
    await Promise.all(ended);
    rmSync(folder, { recursive: true, force: true });
  }
}

// ---------------------------------------------------------------- members

const authority = createAuthority();

function start(folder: string, id: number, ports: readonly number[]): Member {
  const own = join(folder, String(id));
  mkdirSync(own);
  writeCredentials(own, 'peer', [authority], authority.issue('/CN=localhost'));
  const rows = ports.map((port, i) => `- {server_id: ${i + 1}, address: 127.0.0.1, port: ${port}}\n`);
  writeFileSync(join(own, 'server_list.yaml'), rows.join(''));
  const socket = join(own, 'admin.sock');
  const file = join(own, 'stekbal.yaml');
  writeFileSync(
    file,
    `workers: 1
state_dir: state
admin: {address: "unix:${socket}"}
listeners: [{address: "127.0.0.1:0", service: s}]
pools: {p: {nodes: ["127.0.0.1:1"]}}
services: {s: {pool: p, affinity: yes}}
stek_share:
  {server_id: ${id}, address: 127.0.0.1, port: ${ports[id - 1]}, key_update_interval: 3600,
   server_list_file: server_list.yaml, root_cert_file: peer-root.pem, server_cert_file: peer-cert.pem,
   server_key_file: peer-key.pem}
`,
  );
  const program = spawn(process.execPath, [MAIN, 'run', '-c', file], { stdio: ['ignore', 'inherit', 'ignore'] });
  return { id, process: program, socket, agent: new http.Agent({ keepAlive: true, maxSockets: 1 }) };
}

/** Resolves to the leader that all follow, once all are voters. */
async function settled(members: readonly Member[]): Promise<number> {
  const end = performance.now() + DEADLINE_MS;
  for (;;) {
    const all = await Promise.all(members.map((member) => status(member).catch(() => null)));
    const leader = all[0]?.leader?.serverId;
    const isSettled = all.every(
      (one) => one?.leader?.serverId === leader && one?.members.filter(({ isVoter }) => isVoter).length === all.length,
    );
    if (leader !== undefined && isSettled) return leader;
    if (performance.now() > end) throw new Error(`no cluster within ${DEADLINE_MS} ms`);
    await sleep(100);
  }
}

async function status(member: Member): Promise<ClusterStatus> {
  return ((await ask(member, 'GET', '/status')) as EdgeStatus).cluster;
}

// ---------------------------------------------------------------- idle

async function idleFigures(members: Record<'leader' | 'follower', Member>): Promise<Figure[]> {
  const roles = Object.entries(members).map(([role, { process }]) => ({ role, pid: process.pid as number }));
  const before = roles.map(({ pid }) => cpuMs(pid));
  const began = performance.now();
  await sleep(IDLE_MS);
  const elapsedMs = performance.now() - began;
  return roles.flatMap(({ role, pid }, i): Figure[] => [
    { name: `idle ${role}, RSS`, unit: 'MiB', value: rssMib(pid) },
    {
      name: `idle ${role}, CPU (user and system)`,
      unit: '% of a core',
      value: (100 * (cpuMs(pid) - (before[i] as number))) / elapsedMs,
    },
  ]);
}

// ---------------------------------------------------------------- latency

/** Milliseconds from the POST: to its answer, to the last member that has applied it; and between two looks at one. */
interface Latency {
  readonly answered: number;
  readonly everywhere: number;
  readonly resolution: number;
}

async function latencies(members: readonly Member[], at: Member): Promise<Latency[]> {
  const all: Latency[] = [];
  for (let i = 0; i < EDITS; i++) all.push(await latency(members, at, i));
  return all;
}

async function latency(members: readonly Member[], at: Member, i: number): Promise<Latency> {
  const others = members.filter((member) => member !== at);
  // one entry an edit, and nothing else in an idle cluster
  const goal = (await status(at)).applied + 1;
  const began = performance.now();
  const answer = ask(at, 'POST', '/pools/p/nodes', {
    address: `127.0.0.1:${2 + (i % ADDRESSES)}`,
    weight: 1 + (i % 7),
  });
  let looks = 0;
  const applied = others.map(async (member) => {
    do looks++;
    while ((await status(member)).applied < goal);
    return performance.now() - began;
  });
  await answer;
  const answered = performance.now() - began;
  const times = await Promise.all(applied);
  const everywhere = Math.max(answered, ...times);
  return { answered, everywhere, resolution: times.reduce((a, b) => a + b, 0) / looks };
}

function latencyFigures(where: string, all: readonly Latency[]): Figure[] {
  return (['answered', 'everywhere', 'resolution'] as const).flatMap((key) => {
    const sorted = all.map((one) => one[key]).sort((a, b) => a - b);
    const names = {
      answered: `edit at the ${where}, applied and answered there`,
      everywhere: `edit at the ${where}, applied on all`,
      resolution: `edit at the ${where}, between two looks`,
    };
    const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))] as number;
    return [
      { name: `${names[key]}, median`, unit: 'ms', value: at(0.5) },
      ...(key === 'resolution' ? [] : [{ name: `${names[key]}, p99`, unit: 'ms', value: at(0.99) }]),
    ];
  });
}

// ---------------------------------------------------------------- the rest

/** On a connection that is kept. Rejects where the answer is not 200. */
function ask({ socket, agent }: Member, method: string, path: string, body?: object): Promise<unknown> {
  // one connection for looking; an edit takes its own, or it would wait for a look
  const isEdit = body !== undefined;
  const headers = isEdit ? { 'content-type': 'application/json' } : {};
  return new Promise((resolve, reject) => {
    const options = { socketPath: socket, method, path, headers, agent: isEdit ? false : agent };
    const request = http.request(options, (response) => {
      let text = '';
      response.on('data', (chunk) => {
        text += chunk;
      });
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(isEdit ? JSON.stringify(body) : undefined);
  });
}

/** Free at the moment, all of them at once. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => net.createServer());
  await Promise.all(servers.map((s) => new Promise<void>((resolve) => s.listen(0, '127.0.0.1', resolve))));
  const ports = servers.map((server) => (server.address() as net.AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

if (import.meta.main) {
  const asJson = process.argv.includes('--json');
  const disk = statfsSync(tmpdir()).type === TMPFS_MAGIC ? 'tmpfs' : 'a disk';
  const machine = `${machineLine()}, state_dir on ${disk}`;
  if (!asJson) process.stdout.write(`${machine}\n`);
  const results = await run();
  if (asJson) process.stdout.write(`${JSON.stringify({ node: process.version, machine, results }, null, 2)}\n`);
  else {
    for (const [group, figures] of Object.entries(results)) {
      process.stdout.write(`\n${group}\n`);
      for (const { name, unit, value } of figures)
        process.stdout.write(`  ${name.padEnd(56)} ${value.toFixed(2).padStart(10)} ${unit}\n`);
    }
  }
}
