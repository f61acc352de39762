/** The canary that the configuration asks for, while it may change. Main thread. */

import { isDeepStrictEqual } from 'node:util';
import type { CanaryConfig } from '../config/config.ts';
import { Canary, type CanaryStatus } from './canary.ts';
import type { Log } from './log.ts';

export class LiveCanary {
  readonly #log: Log;
  #config: CanaryConfig | null;
  #canary: Canary | null;
  #isStarted = false;

  /** `config` null: none. */
  constructor(config: CanaryConfig | null, log: Log) {
    this.#log = log;
    this.#config = config;
    this.#canary = config === null ? null : new Canary({ config, log });
  }

  /** Of the one in force; null: there is none. */
  get status(): CanaryStatus | null {
    return this.#canary?.status ?? null;
  }

  start(): void {
    this.#isStarted = true;
    this.#canary?.start();
  }

  /** Another canary begins to count anew. */
  configure(config: CanaryConfig | null): void {
    if (isDeepStrictEqual(config, this.#config)) return;
    void this.#canary?.stop();
    this.#config = config;
    this.#canary = config === null ? null : new Canary({ config, log: this.#log });
    if (this.#isStarted) this.#canary?.start();
  }

  async stop(): Promise<void> {
    this.#isStarted = false;
    await this.#canary?.stop();
  }
}
