/** A simulated server, and one run of its program. */

import type { Member } from '../../src/cluster/member.ts';
import type { PeerMessage, ServerId } from '../../src/cluster/types.ts';
import type { MemberId, Membership } from '../../src/raft/types.ts';
import type { Rotator } from '../../src/stek/rotator.ts';
import type { SimDisk } from './sim-disk.ts';
import type { SimState } from './sim-state.ts';

/** One run of a server's program. */
export interface Life {
  readonly member: Member;
  readonly rotator: Rotator;
  readonly state: SimState;
  isPaused: boolean;
  /** Messages that came during a pause. */
  inbox: { from: ServerId; message: PeerMessage }[];
  /** The names of the ring's keys. */
  held: ReadonlySet<string>;
  /** The name of the key that tickets are made with here. */
  issuing: string | null;
  /** All that was committed before this life began is applied: its doors are open. As in the key keeper. */
  isSynced: boolean;
  /** When it is to try next; infinite while it tries. */
  syncAtMs: number;
  /** Names of keys that are gone from the ring, and may be in the log, or on the disk, until the next look. */
  gone: Set<string>;
}

export interface Server {
  readonly id: ServerId;
  /** Null: it has no state_dir, and forgets everything at each restart. */
  readonly disk: SimDisk | null;
  /** A tick lasts this long here. */
  readonly tickMs: number;
  /** How wrong its clock is. */
  clockMs: number;
  /** The server list as this server has it. */
  list: readonly ServerId[];
  life: Life | null;
  /** When it last had an append response from each member; pauses do not count. */
  readonly heardMs: Map<MemberId, number>;
  /** Since when it leads this membership in this term without a pause; null where it does not. */
  reign: { readonly sinceMs: number; readonly membership: Membership; readonly term: number } | null;
  /** When it was last elected. */
  electedMs: number;
}
