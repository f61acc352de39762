/**
 * Tries resumption from edge to edge while they serve: each interval a ticket of one target, chosen at random, at another
 * one. Main thread.
 *
 * What has failed is tried again in every round, besides the random pair, until it is well: one bad edge of many would else
 * seem well in every second round.
 */

import { type CanaryConfig, joinHostPort, type TlsVersion } from '../config/config.ts';
import type { Log } from './log.ts';
import { offerTicket, type ProbeResult, type ProbeTarget, TLS_VERSIONS, takeTicket } from './resumption-probe.ts';

const TIMEOUT_MS = 5_000;

/** Since the start. */
export interface CanaryStatus {
  readonly isFailing: boolean;
  readonly ok: Readonly<Record<TlsVersion, number>>;
  readonly failed: Readonly<Record<TlsVersion, number>>;
}

export interface CanaryOptions {
  readonly config: CanaryConfig;
  readonly log: Log;
  /** 0 <= n < 1. For tests. */
  readonly random?: () => number;
}

interface Pair {
  readonly from: ProbeTarget;
  readonly to: ProbeTarget;
  readonly serverName: string | null;
}

interface Probe extends Pair {
  readonly version: TlsVersion;
  readonly result: ProbeResult;
}

export class Canary {
  readonly #options: CanaryOptions;
  readonly #ending = new AbortController();
  readonly #counts = { ok: { 'TLSv1.2': 0, 'TLSv1.3': 0 }, failed: { 'TLSv1.2': 0, 'TLSv1.3': 0 } };
  #timer: NodeJS.Timeout | null = null;
  #round: Promise<void> = Promise.resolve();
  /** A pair that failed in the last round; null: it is well. */
  #failing: Pair | null = null;

  constructor(options: CanaryOptions) {
    this.#options = options;
  }

  get status(): CanaryStatus {
    const { ok, failed } = this.#counts;
    return { isFailing: this.#failing !== null, ok: { ...ok }, failed: { ...failed } };
  }

  /** The first round is an interval away: edges of a fleet that is started all at once may not be there yet. */
  start(): void {
    if (this.#ending.signal.aborted) return;
    this.#timer = setTimeout(() => {
      this.#round = this.runRound().finally(() => {
        if (!this.#ending.signal.aborted) this.start();
      });
    }, this.#options.config.intervalMs);
  }

  /** Resolves when no connection of it is open any more. */
  async stop(): Promise<void> {
    this.#ending.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#round;
  }

  /** One round, now. Not while one is under way. */
  async runRound(): Promise<void> {
    const pairs = [...(this.#failing === null ? [] : [this.#failing]), this.#choose()];
    const probes: Probe[] = [];
    for (const pair of pairs) {
      for (const version of TLS_VERSIONS) {
        const result = await this.#probe(pair, version);
        if (result !== null) probes.push({ ...pair, version, result });
      }
    }
    if (!this.#ending.signal.aborted) this.#take(probes);
  }

  /** Null: the first edge does not speak the version, as in a fleet whose min_version is TLS 1.3. */
  async #probe({ from, to, serverName }: Pair, version: TlsVersion): Promise<ProbeResult | null> {
    const options = { version, serverName, timeoutMs: TIMEOUT_MS, signal: this.#ending.signal };
    const taken = await takeTicket(from, options);
    if ('session' in taken) return offerTicket(to, taken.session, options);
    return taken.outcome === 'unsupported' ? null : taken;
  }

  #take(probes: readonly Probe[]): void {
    for (const { result, version } of probes) this.#counts[isOk(result) ? 'ok' : 'failed'][version]++;
    const bad = probes.find(({ result }) => !isOk(result)) ?? null;
    if (bad !== null && this.#failing === null) {
      this.#options.log.warn(fieldsOf(bad), 'canary: a session of one edge does not resume at another');
    }
    if (bad === null && this.#failing !== null)
      this.#options.log.info('canary: sessions resume from edge to edge again');
    this.#failing = bad;
  }

  #choose(): Pair {
    const { config, random = Math.random } = this.#options;
    const pick = <T>(items: readonly T[]) => items[Math.floor(random() * items.length)] as T;
    const from = pick(config.targets);
    const to = pick(config.targets.filter((target) => target !== from));
    return { from, to, serverName: config.serverNames.length === 0 ? null : pick(config.serverNames) };
  }
}

function isOk({ outcome }: ProbeResult): boolean {
  return outcome === 'resumed';
}

function fieldsOf({ from, to, serverName, version, result }: Probe): object {
  return {
    from: joinHostPort(from.host, from.port),
    to: joinHostPort(to.host, to.port),
    protocol: version,
    ...(serverName === null ? {} : { serverName }),
    outcome: result.outcome,
    ...('reason' in result ? { reason: result.reason } : {}),
  };
}
