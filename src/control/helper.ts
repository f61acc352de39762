/**
 * Work that would hold up the main thread, done in a thread of its own. The entry that Piscina runs, and the call.
 */

import { Piscina } from 'piscina';
import { buildRouteImage, type RouteNode } from '../affinity/route-table.ts';
import type { RouteDimensions } from '../boards/route-board.ts';
import { type LoadResult, loadConfig } from '../config/load.ts';

/** Nodes as columns: cloning 100,000 objects would cost the main thread more than hashing them does the helper. */
interface NodeColumns {
  /** One a line. */
  readonly addresses: string;
  /** Four words a node: slot, generation, weight, drain. */
  readonly words: Int32Array;
}

interface RouteTask extends NodeColumns {
  readonly salt: string;
  readonly dimensions: RouteDimensions;
}

const WORDS = 4;

/** Piscina task: the image of a route board's half. */
export function buildRoutes(task: RouteTask): Int32Array {
  const nodes: RouteNode[] = task.addresses.split('\n').map((address, i) => {
    const [slot = 0, generation = 0, weight = 1, drain = 0] = task.words.subarray(i * WORDS, (i + 1) * WORDS);
    return { address, slot, generation, weight, drain: drain === 1 };
  });
  return Piscina.move(buildRouteImage(nodes, task.salt, task.dimensions)) as Int32Array;
}

/** Piscina task: a configuration file, read and checked. */
export function load(file: string): LoadResult {
  return loadConfig(file);
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

  buildRoutes(nodes: readonly RouteNode[], salt: string, dimensions: RouteDimensions): Promise<Int32Array> {
    const words = new Int32Array(nodes.length * WORDS);
    nodes.forEach((n, i) => {
      words.set([n.slot, n.generation, n.weight, n.drain ? 1 : 0], i * WORDS);
    });
    const task: RouteTask = { addresses: nodes.map((n) => n.address).join('\n'), words, salt, dimensions };
    return this.#pool.run(task, { name: 'buildRoutes' });
  }

  loadConfig(file: string): Promise<LoadResult> {
    return this.#pool.run(file, { name: 'load' });
  }

  close(): Promise<void> {
    return this.#pool.destroy();
  }
}
