/**
 * Changes pools: on all edges of the group, where an edit becomes a command, or on this edge alone. Done is when it is
 * published here. Main thread.
 */

import { ProposalError } from '../cluster/types.ts';
import type { NodeAddress } from '../config/addresses.ts';
import type { NodeConfig } from '../config/config.ts';
import { suggestName } from '../config/issues.ts';
import type { LocalEdits } from './local-edits.ts';
import { EDITS_MAX, type NodeOrigin, removedAddresses } from './pool-edits.ts';
import type { Pools } from './pools.ts';
import type { ReplicatedState } from './state.ts';
import { encodeCommand, type NodeEdit } from './state-command.ts';
import {
  NODES_SHOWN_MAX,
  type NodeSources,
  type NodeStatus,
  nodeStatus,
  nodesShownMax,
  type PoolStatus,
  poolStatus,
} from './status.ts';

/** An edit that was not made, or not known to be. */
export class PoolError extends Error {
  readonly code: 'unknown-pool' | 'unknown-node' | 'no-edit' | 'too-many-edits' | ProposalError['code'];
  constructor(code: PoolError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** What is left out stays as it is; of a new node, weight is 1 and drain false. */
export interface NodeChange {
  readonly weight?: number;
  readonly drain?: boolean;
}

/** `group`: every edge. `local`: this edge, over what the group says. */
export type EditScope = 'group' | 'local';

export interface EditResult {
  /** As it is in force here now, which another edit may have a part in; null: not in the pool. */
  readonly node: NodeStatus | null;
  /** Where it was made: without stek_share every edit is local. */
  readonly scope: EditScope;
  /** It outlasts a restart of this edge: the group keeps it, or the state_dir. */
  readonly isKept: boolean;
}

export interface NodePage {
  readonly pool: string;
  readonly nodeCount: number;
  /** From `offset` on, at most 1,000. */
  readonly nodes: readonly NodeStatus[];
  /** What edits take out of the pool, at most 1,000. */
  readonly removed: readonly { readonly address: string; readonly origin: NodeOrigin }[];
}

export interface PoolEditorOptions {
  readonly pools: Pick<Pools, 'names' | 'nodes' | 'publish'>;
  readonly state: Pick<ReplicatedState, 'editsOf' | 'hasRoomFor'>;
  readonly local: LocalEdits;
  /** Null: there is no group, so that every edit is this edge's own. */
  readonly propose: ((data: Uint8Array) => Promise<void>) | null;
  readonly sources: NodeSources;
}

export class PoolEditor {
  readonly #options: PoolEditorOptions;

  constructor(options: PoolEditorOptions) {
    this.#options = options;
  }

  list(): PoolStatus[] {
    const { pools, sources } = this.#options;
    const shownMax = nodesShownMax(pools.names.length);
    return pools.names.map((name) => poolStatus(name, pools.nodes(name) ?? [], sources, shownMax));
  }

  /** Nodes of all pools. */
  get nodeCount(): number {
    const { pools } = this.#options;
    return pools.names.reduce((sum, name) => sum + (pools.nodes(name)?.length ?? 0), 0);
  }

  /** Throws a PoolError where there is no such pool. */
  page(pool: string, offset: number): NodePage {
    const { state, local, sources } = this.#options;
    const nodes = this.#nodes(pool);
    const removed = removedAddresses(state.editsOf(pool), local.of(pool)).slice(0, NODES_SHOWN_MAX);
    return {
      pool,
      nodeCount: nodes.length,
      nodes: nodes.slice(offset, offset + NODES_SHOWN_MAX).map((node) => nodeStatus(pool, node, sources)),
      removed: removed.map((address) => ({ address, origin: sources.origin(pool, address) })),
    };
  }

  /** Throws a PoolError where there is no such pool or node. */
  node(pool: string, address: string): NodeStatus {
    const node = this.#find(pool, address);
    if (node !== null) return nodeStatus(pool, node, this.#options.sources);
    const advice = `GET /pools/${pool}/nodes, or stekbal pool ${pool} list, shows them`;
    throw new PoolError('unknown-node', `pool ${pool} has no node ${address}; ${advice}`);
  }

  /** Adds the node, or changes it. Rejects with a PoolError. */
  set(pool: string, { address }: NodeAddress, change: NodeChange, scope: EditScope): Promise<EditResult> {
    return this.#change(pool, address, change, scope, 'present');
  }

  /** Changes the node for as long as it is in the pool. Rejects with a PoolError. */
  async change(pool: string, address: string, change: NodeChange, scope: EditScope): Promise<EditResult> {
    this.node(pool, address);
    return this.#change(pool, address, change, scope, 'changed');
  }

  /** Rejects with a PoolError. */
  async remove(pool: string, address: string, scope: EditScope): Promise<EditResult> {
    this.node(pool, address);
    // a group's also where no file here names it: another edge's may
    return this.#edit(pool, address, { kind: 'absent' }, scope);
  }

  /** Withdraws what was said of the node, by the group or on this edge: the file counts again. Rejects with a PoolError. */
  async reset(pool: string, address: string, scope: EditScope): Promise<EditResult> {
    this.#nodes(pool);
    const made = this.#made(scope);
    const edits = made === 'local' ? this.#options.local.of(pool) : this.#options.state.editsOf(pool);
    if (!edits.has(address)) throw noEdit(pool, address, made);
    return this.#edit(pool, address, null, scope);
  }

  #change(
    pool: string,
    address: string,
    { weight = null, drain = null }: { readonly weight?: number | null; readonly drain?: boolean | null },
    scope: EditScope,
    kind: 'present' | 'changed',
  ): Promise<EditResult> {
    return this.#edit(pool, address, { kind, weight, drain }, scope);
  }

  async #edit(pool: string, address: string, edit: NodeEdit | null, wanted: EditScope): Promise<EditResult> {
    this.#nodes(pool);
    const { pools, local, sources } = this.#options;
    const scope = this.#made(wanted);
    let isKept = true;
    if (scope === 'group') await this.#propose(pool, address, edit);
    else {
      if (edit !== null && !local.hasRoomFor(pool, address)) throw tooManyEdits('this edge');
      isKept = await this.#setLocal(pool, address, edit);
    }
    await pools.publish();
    const node = this.#find(pool, address);
    return { node: node && nodeStatus(pool, node, sources), scope, isKept };
  }

  #setLocal(pool: string, address: string, edit: NodeEdit | null): Promise<boolean> {
    const { local } = this.#options;
    if (edit?.kind === 'absent') {
      const withdrawn = local.set(pool, address, null);
      // what the edits of this edge alone had added is gone with them; nothing is published before the line below
      if (this.#find(pool, address) === null) return withdrawn;
    }
    return local.set(pool, address, edit);
  }

  async #propose(pool: string, address: string, edit: NodeEdit | null): Promise<void> {
    const { state, propose } = this.#options;
    const needsRoom = edit !== null;
    if (needsRoom && !state.hasRoomFor(pool, address)) throw tooManyEdits('the cluster');
    try {
      await propose?.(encodeCommand({ kind: 'node', pool, address, edit }));
    } catch (error) {
      throw error instanceof ProposalError ? new PoolError(error.code, error.message) : error;
    }
    // others may have taken the last place while this one was under way
    if (needsRoom && !state.hasRoomFor(pool, address)) throw tooManyEdits('the cluster');
  }

  #made(wanted: EditScope): EditScope {
    return this.#options.propose === null ? 'local' : wanted;
  }

  #find(pool: string, address: string): NodeConfig | null {
    return this.#nodes(pool).find((node) => node.address === address) ?? null;
  }

  #nodes(pool: string): readonly NodeConfig[] {
    const { pools } = this.#options;
    const nodes = pools.nodes(pool);
    if (nodes !== null) return nodes;
    const advice = suggestName(pool, pools.names, 'this edge has no pools');
    throw new PoolError('unknown-pool', `there is no pool ${JSON.stringify(pool)}; ${advice}`);
  }
}

function noEdit(pool: string, address: string, scope: EditScope): PoolError {
  const whose = scope === 'local' ? 'no edit of this edge alone' : 'no edit of the group';
  const advice = 'there is nothing to withdraw';
  return new PoolError('no-edit', `there is ${whose} of ${address} in pool ${pool}; ${advice}`);
}

function tooManyEdits(who: string): PoolError {
  const advice = 'write nodes into the configuration files, and reset those that are edited here';
  return new PoolError('too-many-edits', `${who} keeps at most ${EDITS_MAX} edited nodes; ${advice}`);
}
