/** All clients of a soak: how many of each kind, and how often they come. */

import { Client, type Trial, type World } from '../client.ts';
import { abort, attack } from './hostile.ts';
import { events, idle, silent, slowReader, slowSender, tunnel } from './lasting.ts';
import { keepAlive, pipeline, post, single } from './requests.ts';
import { sticky } from './sticky.ts';

interface Kind {
  readonly attempt: (client: Client, trial: Trial) => Promise<void>;
  readonly clients: number;
  /** From one attempt to the next, on average. */
  readonly pauseMs: number;
}

/** Together some 300 requests and 40 TLS handshakes a second: a third of a core for three edges, so that queues tell nothing. */
export const TRAFFIC: Readonly<Record<string, Kind>> = {
  'keep-alive': { attempt: keepAlive, clients: 9, pauseMs: 100 },
  single: { attempt: single, clients: 9, pauseMs: 250 },
  post: { attempt: post, clients: 6, pauseMs: 200 },
  pipeline: { attempt: pipeline, clients: 3, pauseMs: 200 },
  sticky: { attempt: sticky, clients: 6, pauseMs: 200 },
  tunnel: { attempt: tunnel, clients: 6, pauseMs: 200 },
  events: { attempt: events, clients: 6, pauseMs: 200 },
  'slow-reader': { attempt: slowReader, clients: 3, pauseMs: 500 },
  'slow-sender': { attempt: slowSender, clients: 3, pauseMs: 300 },
  idle: { attempt: idle, clients: 6, pauseMs: 100 },
  silent: { attempt: silent, clients: 3, pauseMs: 1_000 },
  attack: { attempt: attack, clients: 3, pauseMs: 300 },
  abort: { attempt: abort, clients: 3, pauseMs: 300 },
};

/** Resolves when all have ended, which they do with the world; rejects when one fails by its own fault. */
export async function runTraffic(world: World): Promise<void> {
  const running = Object.entries(TRAFFIC).flatMap(([name, { attempt, clients, pauseMs }]) =>
    Array.from({ length: clients }, (_, index) => {
      const client = new Client(world, name, index);
      return client.run((trial) => attempt(client, trial), pauseMs);
    }),
  );
  await Promise.all(running);
}
