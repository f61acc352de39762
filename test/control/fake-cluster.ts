/** A cluster in the test's hands: commits what it is given, or does not, as the test says. */

import type { Cluster } from '../../src/cluster/cluster.ts';
import {
  type ClusterOptions,
  type ClusterStatus,
  type PeeringOptions,
  ProposalError,
  type ServerAddress,
} from '../../src/cluster/types.ts';
import { decodeCommand } from '../../src/control/state-command.ts';

export class FakeCluster implements Pick<Cluster, keyof Cluster> {
  readonly options: ClusterOptions;
  /** What the next proposals fail with; null: they are applied. */
  refusal: ProposalError['code'] | null = null;
  startError: Error | null = null;
  reloadError: Error | null = null;
  /** What is otherwise than with a leader that is alone. */
  view: Partial<ClusterStatus> = {};
  /** The kind of each command that was proposed, in order. */
  readonly proposed: string[] = [];
  readonly calls: string[] = [];
  readonly reloads: { servers: readonly ServerAddress[]; peering: PeeringOptions }[] = [];

  constructor(options: ClusterOptions) {
    this.options = options;
  }

  /** Without what the keeper of the ticket keys proposes by itself. */
  get proposals(): number {
    return this.proposed.filter((kind) => kind !== 'sync').length - this.keyProposals.length;
  }

  get keyProposals(): string[] {
    return this.proposed.filter((kind) => kind.startsWith('key-'));
  }

  async start(): Promise<void> {
    this.calls.push('start');
    if (this.startError !== null) throw this.startError;
  }

  async propose(data: Uint8Array): Promise<void> {
    this.proposed.push(decodeCommand(data)?.kind ?? 'none');
    if (this.refusal !== null) throw new ProposalError(this.refusal, `the test says ${this.refusal}`);
    this.options.stateMachine.apply(data);
  }

  status(): ClusterStatus {
    const { serverId } = this.options;
    const self = { member: `${serverId}.a`, serverId };
    return {
      ...self,
      cluster: '0.c',
      role: 'leader',
      term: 1,
      leader: self,
      commit: 1,
      applied: 1,
      lastIndex: 1,
      members: [{ ...self, isSelf: true, isLeader: true, isVoter: true, match: 1, applied: 1, lastContactMs: 0 }],
      peers: [],
      refusals: {},
      isStorageFailed: false,
      certificateNotAfterMs: null,
      ...this.view,
    };
  }

  async reload(servers: readonly ServerAddress[], peering: PeeringOptions): Promise<void> {
    if (this.reloadError !== null) throw this.reloadError;
    this.reloads.push({ servers, peering });
  }

  async stop(): Promise<void> {
    this.calls.push('stop');
  }
}
