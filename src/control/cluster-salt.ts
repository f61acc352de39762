/**
 * Finds the affinity salt that all edges of the cluster share: takes the one that is there, or proposes one. Main thread.
 */

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ProposalError } from '../cluster/types.ts';
import type { Config } from '../config/config.ts';
import type { Log } from './log.ts';
import type { ReplicatedState } from './state.ts';
import { encodeCommand } from './state-command.ts';

const SALT_BYTES = 16;
/** Between two attempts: an election at Traffic Server's timeouts takes as long. */
const RETRY_MS = 250;

export class ClusterSalt {
  readonly #state: ReplicatedState;
  readonly #propose: (data: Uint8Array) => Promise<void>;
  readonly #ending: AbortSignal;
  readonly #log: Log;
  /** Under way. Does not reject. */
  #agreement: Promise<void> | null = null;

  constructor(state: ReplicatedState, propose: (data: Uint8Array) => Promise<void>, ending: AbortSignal, log: Log) {
    this.#state = state;
    this.#propose = propose;
    this.#ending = ending;
    this.#log = log;
  }

  /** Goes on until the state holds a salt, or the edge ends. */
  seek(): void {
    this.#agreement ??= this.#agree()
      .catch((err: unknown) => {
        if (!this.#ending.aborted) this.#log.error({ err }, 'no affinity salt could be proposed to the cluster');
      })
      .finally(() => {
        this.#agreement = null;
      });
  }

  /** After seek(): resolves when there is a salt, when the edge ends, or with a warning after `timeoutMs`. */
  async wait(timeoutMs: number): Promise<void> {
    const waited = new AbortController();
    const signal = AbortSignal.any([this.#ending, waited.signal]);
    await Promise.race([this.#agreement, sleep(timeoutMs, undefined, { signal }).catch(() => {})]);
    waited.abort();
    if (this.#state.salt !== null || this.#ending.aborted) return;
    this.#log.warn(
      { waitedMs: timeoutMs },
      'no affinity salt from the cluster yet: until then a salt of its own, so cookies differ from those of other edges',
    );
    void this.#agreement?.then(() => {
      if (this.#state.salt !== null) this.#log.info("the cluster's affinity salt is in use now");
    });
  }

  /** Any number of edges may propose one: the first counts. */
  async #agree(): Promise<void> {
    const command = encodeCommand({ kind: 'salt', salt: randomBytes(SALT_BYTES).toString('hex') });
    while (this.#state.salt === null) {
      this.#ending.throwIfAborted();
      try {
        await this.#propose(command);
      } catch (error) {
        if (!(error instanceof ProposalError)) throw error;
        await sleep(RETRY_MS, undefined, { signal: this.#ending });
      }
    }
  }
}

/** A service's salt is the cluster's. */
export function usesClusterSalt({ services }: Pick<Config, 'services'>): boolean {
  return services.some(({ affinity }) => affinity?.useSalt === true && !affinity.useDomain && affinity.salt === null);
}
