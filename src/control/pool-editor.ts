/**
 * Changes pools on all edges of the cluster: an edit becomes a command, and is done when it is applied and published
 * here. Main thread.
 */

import { ProposalError } from '../cluster/types.ts';
import type { NodeAddress } from '../config/addresses.ts';
import type { NodeConfig } from '../config/config.ts';
import { suggestName } from '../config/issues.ts';
import { EDITS_MAX } from './pool-edits.ts';
import type { Pools } from './pools.ts';
import type { ReplicatedState } from './state.ts';
import { encodeCommand, type NodeEdit } from './state-command.ts';

/** An edit that was not made, or not known to be. */
export class PoolError extends Error {
  readonly code: 'unknown-pool' | 'unknown-node' | 'too-many-edits' | ProposalError['code'];
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

export class PoolEditor {
  readonly #pools: Pools;
  readonly #state: ReplicatedState;
  readonly #propose: (data: Uint8Array) => Promise<void>;

  constructor(pools: Pools, state: ReplicatedState, propose: (data: Uint8Array) => Promise<void>) {
    this.#pools = pools;
    this.#state = state;
    this.#propose = propose;
  }

  /** Throws a PoolError where there is no such pool. */
  nodes(pool: string): readonly NodeConfig[] {
    const nodes = this.#pools.nodes(pool);
    if (nodes !== null) return nodes;
    const { names } = this.#pools;
    const advice = suggestName(pool, names, 'this edge has no pools');
    throw new PoolError('unknown-pool', `there is no pool ${JSON.stringify(pool)}; ${advice}`);
  }

  /** Adds the node, or changes it. Rejects with a PoolError. */
  async set(pool: string, { address, host, port }: NodeAddress, change: NodeChange): Promise<NodeConfig> {
    this.nodes(pool);
    const { weight = null, drain = null } = change;
    await this.#edit(pool, address, { kind: 'present', weight, drain });
    const after = this.nodes(pool).find((node) => node.address === address);
    // taken away again by another edit meanwhile
    return after ?? { address, host, port, weight: weight ?? 1, drain: drain ?? false };
  }

  /** Rejects with a PoolError. */
  async remove(pool: string, address: string): Promise<void> {
    if (!this.nodes(pool).some((node) => node.address === address)) {
      throw new PoolError('unknown-node', `pool ${pool} has no node ${address}; GET /pools/${pool}/nodes lists them`);
    }
    // also where no file here names it: another edge's may
    await this.#edit(pool, address, { kind: 'absent' });
  }

  async #edit(pool: string, address: string, edit: NodeEdit | null): Promise<void> {
    if (edit !== null && !this.#state.hasRoomFor(pool, address)) throw tooManyEdits();
    try {
      await this.#propose(encodeCommand({ kind: 'node', pool, address, edit }));
    } catch (error) {
      throw error instanceof ProposalError ? new PoolError(error.code, error.message) : error;
    }
    // others may have taken the last place while this one was under way
    if (edit !== null && !this.#state.hasRoomFor(pool, address)) throw tooManyEdits();
    await this.#pools.publish();
  }
}

function tooManyEdits(): PoolError {
  const advice = 'write nodes into the configuration files, and remove those that were added here';
  return new PoolError('too-many-edits', `the cluster keeps at most ${EDITS_MAX} edited nodes; ${advice}`);
}
