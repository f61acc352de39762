/**
 * The part of the replicated state that is about pools: what operators have said of nodes, and how that lies over what
 * the file says. Pure; main thread.
 */

import { parseNodeAddress } from '../config/addresses.ts';
import type { NodeConfig } from '../config/config.ts';
import { decodeEdit, encodeEdit, type NodeEdit } from './state-command.ts';

/** Nodes with an edit, over all pools: bounds a snapshot to about 1.5 MB. Beyond, edits are for the file. */
export const EDITS_MAX = 4_096;

const WEIGHT_DEFAULT = 1;

/** By address. */
export type EditsOfPool = ReadonlyMap<string, NodeEdit>;

const NO_EDITS: EditsOfPool = new Map();

export class PoolEdits {
  /** Invariant: no pool without an edit. Pools that this edge does not have are kept: another one may have them. */
  readonly #pools = new Map<string, Map<string, NodeEdit>>();
  #size = 0;

  /** Edits kept. Invariant: at most EDITS_MAX. */
  get size(): number {
    return this.#size;
  }

  of(pool: string): EditsOfPool {
    return this.#pools.get(pool) ?? NO_EDITS;
  }

  /** Whether an edit of this node would be kept. */
  hasRoomFor(pool: string, address: string): boolean {
    return this.#size < EDITS_MAX || this.of(pool).has(address);
  }

  /** Keeps `edit`, with what it leaves open as an earlier one says; or withdraws the one there is where it is null. Changes nothing where there is no room. */
  set(pool: string, address: string, edit: NodeEdit | null): void {
    if (edit === null) {
      const edits = this.#pools.get(pool);
      if (edits?.delete(address) !== true) return;
      this.#size--;
      if (edits.size === 0) this.#pools.delete(pool);
    } else if (this.hasRoomFor(pool, address)) {
      const edits = this.#pools.get(pool) ?? new Map<string, NodeEdit>();
      this.#pools.set(pool, edits);
      if (!edits.has(address)) this.#size++;
      edits.set(address, merged(edits.get(address), edit));
    }
  }

  /** Plain data, the same for equal edits whatever the order in which they came. */
  toSnapshot(): unknown {
    return sorted(this.#pools).map(([pool, edits]) => [
      pool,
      sorted(edits).map(([address, edit]) => [address, ...encodeEdit(edit)]),
    ]);
  }

  /** Throws where `data` is not what `toSnapshot` gives. */
  static fromSnapshot(data: unknown): PoolEdits {
    const restored = new PoolEdits();
    for (const [pool, edits] of arrays(data)) {
      for (const [address, ...fields] of arrays(edits)) {
        const edit = decodeEdit(fields);
        if (typeof pool !== 'string' || typeof address !== 'string' || edit === undefined) throw new TypeError();
        restored.set(pool, address, edit);
      }
    }
    return restored;
  }
}

function merged(before: NodeEdit | undefined, edit: NodeEdit): NodeEdit {
  if (before?.kind !== 'present' || edit.kind !== 'present') return edit;
  return { kind: 'present', weight: edit.weight ?? before.weight, drain: edit.drain ?? before.drain };
}

/**
 * The nodes of a pool: those of the file in its order, as edited; then those added, by their addresses, so that all edges
 * have one order. The same array where nothing is edited.
 */
export function effectiveNodes(configured: readonly NodeConfig[], edits: EditsOfPool): readonly NodeConfig[] {
  if (edits.size === 0) return configured;
  const nodes: NodeConfig[] = [];
  const added = new Map(edits);
  for (const node of configured) {
    const edit = edits.get(node.address);
    added.delete(node.address);
    if (edit === undefined) nodes.push(node);
    else if (edit.kind === 'present') {
      nodes.push({ ...node, weight: edit.weight ?? node.weight, drain: edit.drain ?? node.drain });
    }
  }
  for (const [text, edit] of sorted(added)) {
    const parsed = parseNodeAddress(text);
    // one that only another version takes for an address would be of no use to the listener threads
    if (edit.kind === 'absent' || !parsed.ok || parsed.value.address !== text) continue;
    nodes.push({ ...parsed.value, weight: edit.weight ?? WEIGHT_DEFAULT, drain: edit.drain ?? false });
  }
  return nodes;
}

/** By code units: no locale may have a say. */
function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function arrays(data: unknown): unknown[][] {
  if (!Array.isArray(data) || !data.every(Array.isArray)) throw new TypeError();
  return data;
}
