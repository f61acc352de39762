/**
 * The route images that the stress test publishes. Every field follows from the version's number, so that a reader can
 * say of any two words whether they belong together. Both sides of the stress test.
 */

import { buildRouteImage, type RouteNode } from '../../../src/affinity/route-table.ts';
import type { RouteDimensions } from '../../../src/boards/route-board.ts';

/** A power of two: the image of epoch e is that of version e mod VERSIONS. */
export const VERSIONS = 256;
export const SLOTS = 64;
export const DIMENSIONS: RouteDimensions = { capacity: SLOTS, tableSize: 128, textBytes: 4096 };

/** Words that the threads of the stress test share besides the board. */
export const CONTROL = {
  ready: 0,
  stop: 1,
  /** One word a reader: its reads during which something was published. */
  overtaken: 2,
} as const;
export const READERS = 2;

export function versionOf(epoch: number): number {
  return epoch & (VERSIONS - 1);
}

/** Never 0, and different for any two pairs of version and slot. */
export function generationOf(version: number, slot: number): number {
  return version * SLOTS + slot + 1;
}

export function ofGeneration(generation: number): { version: number; slot: number } {
  return { version: Math.floor((generation - 1) / SLOTS), slot: (generation - 1) % SLOTS };
}

/** Two thirds of the slots are taken, others each time; nothing of a node is the same in two versions. */
export function nodesOf(version: number): RouteNode[] {
  const nodes: RouteNode[] = [];
  for (let i = 0; i < SLOTS; i++) {
    const slot = (i * 5 + version) % SLOTS;
    if ((version + slot) % 3 === 0) continue;
    nodes.push({
      slot,
      generation: generationOf(version, slot),
      address: `v${version}-s${slot}.${'x'.repeat((version * 7 + slot) % 29)}:${1024 + version}`,
      weight: 1 + ((version * 37 + slot * 13) % 256),
      drain: (version + slot) % 5 === 0,
    });
  }
  return nodes;
}

export function images(): Int32Array[] {
  return Array.from({ length: VERSIONS }, (_, version) =>
    buildRouteImage(nodesOf(version), `salt ${version}`, DIMENSIONS),
  );
}
