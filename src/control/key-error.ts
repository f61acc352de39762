/** Main thread. */

import type { ProposalError } from '../cluster/types.ts';

/** A change of the ticket keys that was not made, or not known to be. */
export class KeyError extends Error {
  /** not-activated: agreed on, but the next key is not active yet. */
  readonly code: ProposalError['code'] | 'not-activated';
  constructor(code: KeyError['code'], message: string) {
    super(message);
    this.code = code;
  }
}
