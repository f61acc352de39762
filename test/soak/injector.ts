/**
 * Makes the planned faults happen, and undoes them. Bounded, so that what follows from them is known: one edge away at a
 * time, one ill node a pool. Edge 1 is never killed: its memory is watched over the whole run.
 */

import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { HOST } from '../e2e/cluster-network.ts';
import { eventually } from '../e2e/harness.ts';
import type { BackendMode } from './backend.ts';
import type { SoakBackend } from './backends.ts';
import type { SoakEdge } from './edges.ts';
import type { Fault, FaultKind, FaultLog, PoolName } from './fault.ts';
import { GroupCommands, type OnFailed } from './group-commands.ts';
import type { Planned } from './schedule.ts';
import { Turns } from './turns.ts';

export const VETERAN = 1;
const FLOOD_CONNECTIONS = 300;
const POOLS: readonly PoolName[] = ['sticky', 'plain'];
const AWAY: readonly FaultKind[] = ['edge-killed', 'leader-killed', 'edge-restarted', 'edge-paused'];

export interface InjectorParts {
  readonly edges: readonly SoakEdge[];
  readonly backends: readonly SoakBackend[];
  /** In no pool, but for a while. */
  readonly spare: SoakBackend;
  readonly cut: (edge: number | null) => void;
  readonly log: FaultLog;
  readonly ending: AbortSignal;
  /** A step failed that should not have. */
  readonly onFailed: OnFailed;
}

type Act = (planned: Planned) => Promise<void>;

export class Injector {
  readonly #parts: InjectorParts;
  readonly #group: GroupCommands;
  readonly #turns = new Turns();
  readonly #running = new Set<Promise<void>>();
  readonly #acts: Readonly<Record<FaultKind, Act>> = {
    'edge-killed': (p) => this.#away(() => this.#kill('edge-killed', this.#mortal(p), p)),
    'leader-killed': (p) => this.#away(() => this.#killLeader(p)),
    'edge-restarted': (p) => this.#away(() => this.#restart(this.#mortal(p))),
    'edge-paused': (p) => this.#away(() => this.#pause(this.#any(p), p.forMs)),
    partition: (p) => this.#away(() => this.#partition(this.#any(p), p.forMs)),
    'thread-killed': (p) => this.#at(p, (edge) => this.#killThread(edge)),
    flood: (p) => this.#at(p, (edge) => this.#flood(edge, p.forMs)),
    'reload-certificates': (p) => this.#at(p, (edge) => this.#reloadCertificates(edge)),
    'reload-pools': (p) => this.#inPool(p, (pool) => this.#at(p, (edge) => this.#reloadPools(edge, pool, p.forMs))),
    'reload-threads': (p) => this.#at(p, (edge) => this.#reloadThreads(edge, p)),
    'reload-faulty': (p) => this.#at(p, (edge) => this.#reloadFaulty(edge)),
    'log-rotated': (p) => this.#at(p, (edge) => this.#rotateLog(edge)),
    'backend-killed': (p) => this.#atBackend(p, (one) => this.#killBackend(one, p.forMs)),
    'backend-paused': (p) => this.#atBackend(p, (one) => this.#pauseBackend(one, p.forMs)),
    'backend-refusing': (p) => this.#atBackend(p, (one) => this.#mode(one, 'backend-refusing', 'refusing', p.forMs)),
    'backend-resetting': (p) => this.#atBackend(p, (one) => this.#mode(one, 'backend-resetting', 'resetting', p.forMs)),
    'backend-trickling': (p) => this.#atBackend(p, (one) => this.#mode(one, 'backend-trickling', 'trickling', p.forMs)),
    'backend-garbage': (p) => this.#atBackend(p, (one) => this.#mode(one, 'backend-garbage', 'garbage', p.forMs)),
    'backend-trailing': (p) => this.#atBackend(p, (one) => this.#mode(one, 'backend-trailing', 'trailing', p.forMs)),
    'pool-outage': (p) => this.#inPool(p, (pool) => this.#outage(pool, p.forMs)),
    'node-added': (p) => this.#inPool(p, (pool) => this.#addNode(pool, p.forMs)),
    'node-removed': (p) => this.#atBackend(p, (one) => this.#edit(one, 'node-removed', 'DELETE', p.forMs)),
    'node-drained': (p) => this.#atBackend(p, (one) => this.#edit(one, 'node-drained', 'PATCH', p.forMs)),
    'keys-rotated': () => this.#changeKeys('keys-rotated', '/keys/rotate'),
    'keys-revoked': () => this.#changeKeys('keys-revoked', '/keys/revoke'),
  };

  constructor(parts: InjectorParts) {
    this.#parts = parts;
    this.#group = new GroupCommands(parts.edges, parts.onFailed);
  }

  /** Begins a planned fault; it undoes itself. */
  begin(planned: Planned): void {
    const work = this.#acts[planned.kind](planned).finally(() => this.#running.delete(work));
    this.#running.add(work);
  }

  /** Resolves when all that was begun is undone. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  // ---------------------------------------------------------------- whose turn it is

  async #turn(about: string, work: () => Promise<void>): Promise<void> {
    await this.#turns.run(about, async () => {
      if (!this.#parts.ending.aborted) await work();
    });
  }

  #away(work: () => Promise<void>): Promise<void> {
    return this.#turn('away', work);
  }

  #inPool({ draw }: Planned, work: (pool: PoolName) => Promise<void>): Promise<void> {
    const pool = POOLS[draw < 0.5 ? 0 : 1] as PoolName;
    return this.#turn(pool, () => work(pool));
  }

  #atBackend({ draw }: Planned, work: (backend: SoakBackend) => Promise<void>): Promise<void> {
    const backend = drawn(this.#parts.backends, draw);
    return this.#turn(backend.pool, () => work(backend));
  }

  /** At an edge that is there; what fails as it goes away meanwhile is noted. */
  async #at({ draw, kind }: Planned, work: (edge: SoakEdge) => Promise<void>): Promise<void> {
    const away = this.#parts.log.current.filter((fault) => AWAY.includes(fault.kind)).map(({ edge }) => edge);
    const there = this.#parts.edges.filter(({ id, isUp }) => isUp && !away.includes(id));
    if (there.length === 0) return;
    const edge = drawn(there, draw);
    const fromMs = performance.now();
    await this.#turn(`edge ${edge.id}`, () => work(edge)).catch((error: Error) => {
      this.#parts.onFailed(kind, edge.id, fromMs, error);
    });
  }

  #any({ draw }: Planned): SoakEdge {
    return drawn(this.#parts.edges, draw);
  }
  #mortal({ draw }: Planned): SoakEdge {
    return drawn(
      this.#parts.edges.filter(({ id }) => id !== VETERAN),
      draw,
    );
  }

  async #during(fault: Fault, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } finally {
      this.#parts.log.end(fault);
    }
  }

  async #wait(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#parts.ending }).catch(() => {});
  }

  // ---------------------------------------------------------------- edges

  async #kill(kind: FaultKind, edge: SoakEdge, { forMs }: Planned): Promise<void> {
    await this.#during(this.#parts.log.begin(kind, { edge: edge.id }), async () => {
      await edge.end('SIGKILL');
      await this.#wait(forMs);
      await edge.start();
    });
  }

  async #killLeader(planned: Planned): Promise<void> {
    const veteran = this.#parts.edges.find(({ id }) => id === VETERAN) as SoakEdge;
    let leader = await this.#leader();
    if (leader === VETERAN) {
      await this.#during(this.#parts.log.begin('edge-paused', { edge: VETERAN }), async () => {
        veteran.pause();
        try {
          await sleep(1_500);
        } finally {
          veteran.resume();
        }
      });
      leader = await this.#leader();
    }
    const edge = this.#parts.edges.find(({ id }) => id === leader);
    if (edge !== undefined && edge !== veteran) await this.#kill('leader-killed', edge, planned);
  }

  /** Null: none is known. */
  async #leader(): Promise<number | null> {
    const statuses = await Promise.all(
      this.#parts.edges.filter(({ isUp }) => isUp).map((edge) => edge.status().catch(() => null)),
    );
    return statuses.find((status) => status?.cluster.role === 'leader')?.cluster.serverId ?? null;
  }

  async #restart(edge: SoakEdge): Promise<void> {
    const { log, onFailed } = this.#parts;
    const fault = log.begin('edge-restarted', { edge: edge.id });
    await this.#during(fault, async () => {
      const code = await edge.end('SIGTERM');
      if (code !== 0) onFailed('edge-restarted', edge.id, fault.fromMs, new Error(`ended with ${code} on SIGTERM`));
      await edge.start();
    });
  }

  async #pause(edge: SoakEdge, forMs: number): Promise<void> {
    await this.#during(this.#parts.log.begin('edge-paused', { edge: edge.id }), async () => {
      edge.pause();
      try {
        await this.#wait(forMs);
      } finally {
        edge.resume();
      }
    });
  }

  async #partition(edge: SoakEdge, forMs: number): Promise<void> {
    const { log, cut } = this.#parts;
    await this.#during(log.begin('partition', { edge: edge.id }), async () => {
      cut(edge.id);
      await this.#wait(forMs);
      cut(null);
    });
  }

  async #killThread(edge: SoakEdge): Promise<void> {
    const { program } = edge;
    const replacements = () => program.log.filter(({ msg }) => msg === 'listener thread replaced').length;
    const before = replacements();
    await this.#during(this.#parts.log.begin('thread-killed', { edge: edge.id }), async () => {
      await edge.killThread();
      await eventually(() => replacements() > before || !edge.isUp, 'the thread that was killed is replaced');
    });
  }

  async #flood(edge: SoakEdge, forMs: number): Promise<void> {
    await this.#during(this.#parts.log.begin('flood', { edge: edge.id }), async () => {
      const sockets = Array.from({ length: FLOOD_CONNECTIONS }, (_, i) => {
        const socket = net.connect({ host: HOST, port: edge.ports[i % 2] as number });
        socket.on('error', () => {});
        if (i % 3 === 0) socket.write('GET / HTTP/1.1\r\nHost: pl');
        return socket;
      });
      await this.#wait(forMs);
      for (const socket of sockets) socket.destroy();
    });
  }

  // ---------------------------------------------------------------- reloads

  async #reload(edge: SoakEdge, expected: RegExp): Promise<void> {
    const said = await edge.reload();
    if (!expected.test(said)) throw new Error(`a reload says: ${said}`);
  }

  async #reloadCertificates(edge: SoakEdge): Promise<void> {
    await this.#during(this.#parts.log.begin('reload-certificates', { edge: edge.id }), async () => {
      edge.renewCertificate();
      await this.#reload(edge, /^reloaded/);
    });
  }

  async #reloadPools(edge: SoakEdge, pool: PoolName, forMs: number): Promise<void> {
    const { log, spare } = this.#parts;
    await this.#during(log.begin('reload-pools', { edge: edge.id, pool, node: spare.address }), async () => {
      const before = edge.settings.nodes[pool];
      edge.settings.nodes[pool] = [...before, spare.address];
      try {
        await this.#reload(edge, /^reloaded/);
        await this.#wait(forMs);
      } finally {
        edge.settings.nodes[pool] = before;
        if (edge.isUp) await this.#reload(edge, /^reloaded/);
      }
    });
  }

  async #reloadThreads(edge: SoakEdge, { forMs, draw }: Planned): Promise<void> {
    await this.#during(this.#parts.log.begin('reload-threads', { edge: edge.id }), async () => {
      const before = edge.settings.workers;
      edge.settings.workers = draw < 0.5 ? 1 : 3;
      try {
        await this.#reload(edge, /^reloaded/);
        await this.#wait(forMs);
      } finally {
        edge.settings.workers = before;
        if (edge.isUp) await this.#reload(edge, /^reloaded/);
      }
    });
  }

  async #reloadFaulty(edge: SoakEdge): Promise<void> {
    await this.#during(this.#parts.log.begin('reload-faulty', { edge: edge.id }), async () => {
      edge.settings.isFaulty = true;
      try {
        await this.#reload(edge, /^reload refused/);
      } finally {
        edge.settings.isFaulty = false;
      }
      if (edge.isUp) await this.#reload(edge, /^reloaded/);
    });
  }

  async #rotateLog(edge: SoakEdge): Promise<void> {
    await this.#during(this.#parts.log.begin('log-rotated', { edge: edge.id }), async () => {
      edge.rotateAccessLog();
      await this.#reload(edge, /^reloaded/);
    });
  }

  // ---------------------------------------------------------------- backends

  async #killBackend(backend: SoakBackend, forMs: number): Promise<void> {
    const { address: node, pool } = backend;
    await this.#during(this.#parts.log.begin('backend-killed', { node, pool }), async () => {
      await backend.kill();
      await this.#wait(forMs);
      await backend.start();
    });
  }

  async #pauseBackend(backend: SoakBackend, forMs: number): Promise<void> {
    const { address: node, pool } = backend;
    await this.#during(this.#parts.log.begin('backend-paused', { node, pool }), async () => {
      backend.pause();
      try {
        await this.#wait(forMs);
      } finally {
        backend.resume();
      }
    });
  }

  async #mode(backend: SoakBackend, kind: FaultKind, mode: BackendMode, forMs: number): Promise<void> {
    const { address: node, pool } = backend;
    await this.#during(this.#parts.log.begin(kind, { node, pool }), async () => {
      backend.become(mode);
      await this.#wait(forMs);
      backend.become('normal');
    });
  }

  async #outage(pool: PoolName, forMs: number): Promise<void> {
    const all = this.#parts.backends.filter((backend) => backend.pool === pool);
    await this.#during(this.#parts.log.begin('pool-outage', { pool }), async () => {
      await Promise.all(all.map((backend) => backend.kill()));
      await this.#wait(forMs);
      await Promise.all(all.map((backend) => backend.start()));
    });
  }

  // ---------------------------------------------------------------- commands to the group

  async #addNode(pool: PoolName, forMs: number): Promise<void> {
    const { log, spare } = this.#parts;
    const node = spare.address;
    await this.#during(log.begin('node-added', { pool, node }), async () => {
      await this.#group.command('node-added', 'POST', `/pools/${pool}/nodes`, { address: node });
      await this.#wait(forMs);
      await this.#group.command('node-added', 'DELETE', `/pools/${pool}/edits/${node}`);
    });
  }

  async #edit({ address: node, pool }: SoakBackend, kind: FaultKind, method: string, forMs: number): Promise<void> {
    await this.#during(this.#parts.log.begin(kind, { pool, node }), async () => {
      await this.#group.command(
        kind,
        method,
        `/pools/${pool}/nodes/${node}`,
        method === 'PATCH' ? { drain: true } : undefined,
      );
      await this.#wait(forMs);
      await this.#group.command(kind, 'DELETE', `/pools/${pool}/edits/${node}`);
    });
  }

  async #changeKeys(kind: FaultKind, path: string): Promise<void> {
    await this.#turn('keys', () =>
      this.#during(this.#parts.log.begin(kind), () => this.#group.command(kind, 'POST', path)),
    );
  }
}

function drawn<T>(items: readonly T[], draw: number): T {
  return items[Math.floor(draw * items.length)] as T;
}
