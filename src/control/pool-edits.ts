/**
 * What operators have said of nodes, and how that lies over what the file says: the group's edits, which are part of the
 * replicated state, and over them those of this edge alone. Pure; main thread.
 */

import { parseNodeAddress } from '../config/addresses.ts';
import type { NodeConfig } from '../config/config.ts';
import { decodeEdit, EDIT_KINDS, encodeEdit, type NodeEdit } from './state-command.ts';

/** Nodes with an edit, over all pools: bounds a snapshot to about 1.5 MB. Beyond, edits are for the file. */
export const EDITS_MAX = 4_096;

const WEIGHT_DEFAULT = 1;

/** By address. */
export type EditsOfPool = ReadonlyMap<string, NodeEdit>;

/** Who says last what a node is. */
export type NodeOrigin = 'file' | 'group' | 'local';

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

  /**
   * Keeps `edit`, with what it leaves open as an earlier one says; or withdraws the one there is where it is null. Changes
   * nothing where there is no room.
   */
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

  /** Plain data, the same for equal edits whatever the order in which they came. `kinds`: of these alone. */
  toSnapshot(kinds: readonly NodeEdit['kind'][] = EDIT_KINDS): readonly unknown[] {
    return sorted(this.#pools).flatMap(([pool, edits]) => {
      const kept = sorted(edits).filter(([, edit]) => kinds.includes(edit.kind));
      return kept.length === 0 ? [] : [[pool, kept.map(([address, edit]) => [address, ...encodeEdit(edit)])]];
    });
  }

  /** Throws where `data` is not what `toSnapshot` gives, in one part or several. */
  static fromSnapshot(...data: readonly unknown[]): PoolEdits {
    const restored = new PoolEdits();
    for (const [pool, edits] of data.flatMap(arrays)) {
      for (const [address, ...fields] of arrays(edits)) {
        const edit = decodeEdit(fields);
        if (typeof pool !== 'string' || typeof address !== 'string' || edit === undefined) throw new TypeError();
        restored.set(pool, address, edit);
      }
    }
    return restored;
  }
}

/** What `edit` makes of an earlier one of the same node. */
function merged(before: NodeEdit | undefined, edit: NodeEdit): NodeEdit {
  if (before === undefined || edit.kind === 'absent') return edit;
  if (before.kind === 'absent') return edit.kind === 'present' ? edit : before;
  const kind = before.kind === 'present' ? 'present' : edit.kind;
  return { kind, weight: edit.weight ?? before.weight, drain: edit.drain ?? before.drain };
}

/** `edits` with `over` lying on them. */
function overlaid(edits: EditsOfPool, over: EditsOfPool): EditsOfPool {
  if (over.size === 0) return edits;
  const all = new Map(edits);
  for (const [address, edit] of over) all.set(address, merged(edits.get(address), edit));
  return all;
}

/**
 * The nodes of a pool: those of the file in its order, as edited by the group and, over that, on this edge alone; then
 * those added, by their addresses, so that all edges have one order. The same array where nothing is edited.
 */
export function effectiveNodes(
  configured: readonly NodeConfig[],
  group: EditsOfPool,
  local: EditsOfPool = NO_EDITS,
): readonly NodeConfig[] {
  const edits = overlaid(group, local);
  if (edits.size === 0) return configured;
  const nodes: NodeConfig[] = [];
  const added = new Map(edits);
  for (const node of configured) {
    const edit = edits.get(node.address);
    added.delete(node.address);
    if (edit === undefined) nodes.push(node);
    else if (edit.kind !== 'absent') {
      nodes.push({ ...node, weight: edit.weight ?? node.weight, drain: edit.drain ?? node.drain });
    }
  }
  for (const [text, edit] of sorted(added)) {
    const parsed = parseNodeAddress(text);
    // one that only another version takes for an address would be of no use to the listener threads
    if (edit.kind !== 'present' || !parsed.ok || parsed.value.address !== text) continue;
    nodes.push({ ...parsed.value, weight: edit.weight ?? WEIGHT_DEFAULT, drain: edit.drain ?? false });
  }
  return nodes;
}

/** Also of a node that an edit takes out. */
export function originOf(address: string, group: EditsOfPool, local: EditsOfPool): NodeOrigin {
  if (local.has(address)) return 'local';
  return group.has(address) ? 'group' : 'file';
}

/** Addresses that an edit takes out, whether or not a file names them; in order. */
export function removedAddresses(group: EditsOfPool, local: EditsOfPool): string[] {
  const isRemoved = ([, edit]: [string, NodeEdit]) => edit.kind === 'absent';
  return sorted(overlaid(group, local))
    .filter(isRemoved)
    .map(([address]) => address);
}

/** By code units: no locale may have a say. */
function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

function arrays(data: unknown): unknown[][] {
  if (!Array.isArray(data) || !data.every(Array.isArray)) throw new TypeError();
  return data;
}
