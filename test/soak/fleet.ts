/** What a soak runs on: three edges, seven backends, and the network between the edges. All processes end with the scope. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAuthority } from '../cluster/certificates.ts';
import { freePort } from '../e2e/cluster-network.ts';
import { temporaryFolder } from '../e2e/harness.ts';
import type { Scope } from '../scope.ts';
import { SoakBackend } from './backends.ts';
import { SoakEdge } from './edges.ts';
import type { PoolName } from './fault.ts';
import type { CutOff, FromNetwork, ToNetwork } from './peer-network.ts';

const EDGES = [1, 2, 3];
/** A pool has three nodes; the last backend is in none, but for a while. */
const NODES: readonly PoolName[] = ['sticky', 'sticky', 'sticky', 'plain', 'plain', 'plain'];
const NETWORK = fileURLToPath(new URL('./peer-network.ts', import.meta.url));

export interface Fleet {
  readonly edges: readonly SoakEdge[];
  readonly backends: readonly SoakBackend[];
  readonly spare: SoakBackend;
  /** Cuts one edge off from the others; null: none. */
  cut(edge: number | null): void;
}

/** Resolves when all edges serve. `onSpawn` is called for each process that an edge has, now and later. */
export async function startFleet(scope: Scope, sampleMs: number, onSpawn: (edge: SoakEdge) => void): Promise<Fleet> {
  const folder = temporaryFolder(scope);
  const ports: number[] = [];
  while (ports.length < EDGES.length + NODES.length + 1) ports.push(await freePort());
  const peerPorts = Object.fromEntries(EDGES.map((id) => [id, ports.pop() as number]));
  const [spare, ...backends] = [...NODES, 'plain' as const]
    .map((pool) => new SoakBackend(ports.pop() as number, pool, scope))
    .reverse() as [SoakBackend, ...SoakBackend[]];
  const [{ network, relays }] = await Promise.all([
    startNetwork(scope, peerPorts),
    ...[spare, ...backends].map((backend) => backend.start()),
  ]);
  const addresses = (wanted: PoolName) => backends.filter(({ pool }) => pool === wanted).map(({ address }) => address);
  const nodes = { sticky: addresses('sticky'), plain: addresses('plain') };
  const [peerAuthority, siteAuthority] = [createAuthority('peers'), createAuthority('sites')];
  const edges = EDGES.map((id) => {
    const reached = (to: number) => (to === id ? peerPorts[to] : relays[`${id}-${to}`]) as number;
    const peers = Object.fromEntries(EDGES.map((to) => [to, reached(to)]));
    const place = { id, folder: join(folder, String(id)), peerPort: peerPorts[id] as number, peers };
    return new SoakEdge({ ...place, peerAuthority, siteAuthority, sampleMs, onSpawn }, nodes, scope);
  });
  await Promise.all(edges.map((edge) => edge.start()));
  return { edges, backends, spare, cut: (edge) => network.send({ type: 'cut', edge } satisfies CutOff) };
}

async function startNetwork(
  scope: Scope,
  ports: Readonly<Record<number, number>>,
): Promise<FromNetwork & { readonly network: ChildProcess }> {
  const network = fork(NETWORK, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], detached: true });
  scope.after(() => network.kill('SIGKILL'));
  const opened = once(network, 'message') as Promise<[FromNetwork]>;
  network.send({ type: 'open', ports } satisfies ToNetwork);
  const [{ relays }] = await opened;
  return { network, relays };
}
