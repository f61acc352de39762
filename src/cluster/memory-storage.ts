/** For a member without a state_dir: keeps nothing, and says so at once. A restart begins as a fresh server. Main thread. */

import type { Done, Storage, StoredBatch, StoredState } from './types.ts';

export class MemoryStorage implements Storage {
  append(_batch: StoredBatch, done: Done): void {
    done(null);
  }

  replace(_state: StoredState, done: Done): void {
    done(null);
  }
}
