/** The production code that a simulation runs: the real one, or a copy with a mistake planted in it. */

import { Member } from '../../src/cluster/member.ts';
import { MemoryStorage } from '../../src/cluster/memory-storage.ts';
import { WriteAheadLog } from '../../src/cluster/wal.ts';
import { Raft } from '../../src/raft/raft.ts';

export interface Production {
  readonly Raft: typeof Raft;
  readonly Member: typeof Member;
  readonly WriteAheadLog: Pick<typeof WriteAheadLog, 'open'>;
  readonly MemoryStorage: typeof MemoryStorage;
}

export const PRODUCTION: Production = { Raft, Member, WriteAheadLog, MemoryStorage };
