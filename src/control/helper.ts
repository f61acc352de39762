/**
 * Work that would hold up the main thread, done in a thread of its own. The entry that Piscina runs, and the call.
 */

import { setImmediate } from 'node:timers/promises';
import { Piscina } from 'piscina';
import { buildRouteImage, type RouteNode } from '../affinity/route-table.ts';
import type { RouteDimensions } from '../boards/route-board.ts';
import type { NodeConfig } from '../config/config.ts';
import { type LoadResult, loadConfig } from '../config/load.ts';

/**
 * Nodes as columns, which is how they pass between the threads: cloning 100,000 objects would hold up the main thread for
 * longer than hashing them takes the helper.
 */
interface NodeColumns {
  /** One a line; empty for no nodes. */
  readonly addresses: string;
  /** Four words a node: slot, generation, weight, drain; of a configured node the first two are 0. */
  readonly words: Int32Array;
}

interface RouteTask extends NodeColumns {
  readonly salt: string;
  readonly dimensions: RouteDimensions;
}

const WORDS = 4;
/** Nodes made at a stretch on the main thread: about 5 ms. */
const SLICE = 10_000;

interface LoadedColumns {
  /** Its pools are without their nodes. */
  readonly result: LoadResult;
  /** The nodes of each pool, in the order of the pools. */
  readonly pools: readonly NodeColumns[];
}

/** Piscina task: the image of a route board's half. */
export function buildRoutes({ addresses, words, salt, dimensions }: RouteTask): Int32Array {
  const nodes: RouteNode[] = [];
  for (const [i, address] of lines(addresses).entries()) {
    const [slot = 0, generation = 0, weight = 1, drain = 0] = words.subarray(i * WORDS, (i + 1) * WORDS);
    nodes.push({ address, slot, generation, weight, drain: drain === 1 });
  }
  return Piscina.move(buildRouteImage(nodes, salt, dimensions)) as Int32Array;
}

interface LoadTask {
  readonly file: string;
  /** As LoadOptions has it. */
  readonly inForce: ReadonlySet<string>;
}

/** Piscina task: a configuration file, read and checked. */
export function load({ file, inForce }: LoadTask): LoadedColumns {
  const { config, diagnostics } = loadConfig(file, { inForce });
  if (config === null) return { result: { config, diagnostics }, pools: [] };
  const pools = config.pools.map(({ nodes }) => toColumns(nodes.map((n) => ({ ...n, slot: 0, generation: 0 }))));
  const bare = { ...config, pools: config.pools.map((pool) => ({ ...pool, nodes: [] })) };
  return { result: { config: bare, diagnostics }, pools };
}

function toColumns(nodes: readonly RouteNode[]): NodeColumns {
  const words = new Int32Array(nodes.length * WORDS);
  for (const [i, n] of nodes.entries()) {
    words[i * WORDS] = n.slot;
    words[i * WORDS + 1] = n.generation;
    words[i * WORDS + 2] = n.weight;
    words[i * WORDS + 3] = n.drain ? 1 : 0;
  }
  return { addresses: nodes.map((n) => n.address).join('\n'), words };
}

/** Configured nodes from their columns, in slices between which the event loop turns. */
async function fromColumns({ addresses, words }: NodeColumns): Promise<NodeConfig[]> {
  const nodes: NodeConfig[] = [];
  for (const [i, address] of lines(addresses).entries()) {
    if (i % SLICE === SLICE - 1) await setImmediate();
    const colon = address.lastIndexOf(':');
    const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
    const port = Number(address.slice(colon + 1));
    nodes.push({ address, host, port, weight: words[i * WORDS + 2] as number, drain: words[i * WORDS + 3] === 1 });
  }
  return nodes;
}

function lines(text: string): string[] {
  return text === '' ? [] : text.split('\n');
}

/** A thread that is there while it is needed. */
export class Helper {
  readonly #pool = new Piscina({
    filename: import.meta.url,
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: 1_000,
    atomics: 'disabled',
  });
  /** Tasks that are not done. */
  readonly #tasks = new Set<AbortController>();

  constructor() {
    // a thread that could not be started (EMFILE): its task would wait for another for ever, and without this the program end
    this.#pool.on('error', (error: Error) => {
      for (const task of this.#tasks) task.abort(error);
    });
  }

  buildRoutes(nodes: readonly RouteNode[], salt: string, dimensions: RouteDimensions): Promise<Int32Array> {
    const task: RouteTask = { ...toColumns(nodes), salt, dimensions };
    return this.#run(task, 'buildRoutes');
  }

  /** As loadConfig does; `inForce` as it has it. */
  async loadConfig(file: string, inForce: ReadonlySet<string>): Promise<LoadResult> {
    const task: LoadTask = { file, inForce };
    const { result, pools } = await this.#run<LoadedColumns>(task, 'load');
    for (const [i, pool] of (result.config?.pools ?? []).entries())
      pool.nodes = await fromColumns(pools[i] as NodeColumns);
    return result;
  }

  async #run<T>(task: unknown, name: string): Promise<T> {
    const controller = new AbortController();
    const { signal } = controller;
    this.#tasks.add(controller);
    try {
      return (await this.#pool.run(task, { name, signal })) as T;
    } catch (error) {
      throw signal.aborted ? new Error(`no helper thread: ${(signal.reason as Error).message}`) : error;
    } finally {
      this.#tasks.delete(controller);
    }
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}
