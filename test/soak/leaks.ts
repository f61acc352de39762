/**
 * Whether a figure that should be level is: the median of the second quarter of its samples beside that of the last. The
 * first quarter is left out, as caches fill and code is compiled then; medians leave out peaks. Pure.
 */

export interface LeakLimit {
  /** As a part of the earlier median. */
  readonly growthMax: number;
  /** Added to that: what a figure near zero may move by. */
  readonly slack: number;
  /** Why it may move that much. */
  readonly why: string;
}

const MIB = 2 ** 20;
/** Of samples. Fewer say nothing: a quarter is then a minute or less, in which one fault moves the median. */
export const SAMPLES_MIN = 24;

export const LEAK_LIMITS = {
  rss: {
    growthMax: 0.08,
    slack: 16 * MIB,
    why: 'malloc keeps what threads that ended and floods have freed; 16 MiB is about one thread',
  },
  descriptors: { growthMax: 0.1, slack: 24, why: 'connections at the moment of the sample: the traffic is bounded' },
  heapUsed: { growthMax: 0.05, slack: MIB, why: 'after a collection: compiled code alone still grows' },
  external: { growthMax: 0.1, slack: 2 * MIB, why: 'buffers of the bodies under way at the moment of the sample' },
  resources: { growthMax: 0.1, slack: 24, why: 'as descriptors' },
} as const satisfies Record<string, LeakLimit>;
export type LeakFigure = keyof typeof LEAK_LIMITS;

export interface LeakVerdict {
  readonly samples: number;
  readonly early: number;
  readonly late: number;
  readonly max: number;
  readonly verdict: 'level' | 'grows' | 'too few samples';
}

export function judgeLeak(samples: readonly number[], { growthMax, slack }: LeakLimit): LeakVerdict {
  const quarter = Math.floor(samples.length / 4);
  const early = median(samples.slice(quarter, quarter * 2));
  const late = median(samples.slice(samples.length - Math.max(1, quarter)));
  const max = samples.reduce((most, sample) => Math.max(most, sample), 0);
  const isLevel = late <= early * (1 + growthMax) + slack;
  const verdict = samples.length < SAMPLES_MIN ? 'too few samples' : isLevel ? 'level' : 'grows';
  return { samples: samples.length, early, late, max, verdict };
}

/** 0 of none. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return 0;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}
