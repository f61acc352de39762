/** The production code that a simulation runs: the real one, or a copy with a mistake planted in it. */

import { Member } from '../../src/cluster/member.ts';
import { memberStatuses } from '../../src/cluster/member-status.ts';
import { MemoryStorage } from '../../src/cluster/memory-storage.ts';
import { WriteAheadLog } from '../../src/cluster/wal.ts';
import { ReplicatedState } from '../../src/control/state.ts';
import { Raft } from '../../src/raft/raft.ts';
import { Rotator } from '../../src/stek/rotator.ts';

export interface Production {
  readonly Raft: typeof Raft;
  readonly Member: typeof Member;
  readonly memberStatuses: typeof memberStatuses;
  readonly WriteAheadLog: Pick<typeof WriteAheadLog, 'open'>;
  readonly MemoryStorage: typeof MemoryStorage;
  readonly ReplicatedState: typeof ReplicatedState;
  readonly Rotator: typeof Rotator;
}

export const PRODUCTION: Production = {
  Raft,
  Member,
  memberStatuses,
  WriteAheadLog,
  MemoryStorage,
  ReplicatedState,
  Rotator,
};
