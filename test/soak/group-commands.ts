/** Commands to the group by the admin API, as an operator gives them in bad times. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { SoakEdge } from './edges.ts';
import type { FaultKind } from './fault.ts';

const COMMAND_MS_MAX = 10_000;
const AGAIN_MS = 200;

/** A step failed that should not have. `edge` 0: no one in particular. */
export type OnFailed = (kind: FaultKind, edge: number, fromMs: number, error: Error) => void;

export class GroupCommands {
  readonly #edges: readonly SoakEdge[];
  readonly #onFailed: OnFailed;

  constructor(edges: readonly SoakEdge[], onFailed: OnFailed) {
    this.#edges = edges;
    this.#onFailed = onFailed;
  }

  /** Again, at another edge, until it is done. Done twice it is the same as once. */
  async command(kind: FaultKind, method: string, path: string, body?: object): Promise<void> {
    const fromMs = performance.now();
    let why = '';
    for (let attempt = 0; performance.now() - fromMs < COMMAND_MS_MAX; attempt++) {
      const up = this.#edges.filter(({ isUp }) => isUp);
      const edge = up[attempt % up.length];
      const answer = await edge?.ask<{ code?: string }>(method, path, body).catch((error: Error) => error);
      // what is gone already was done by an attempt before, whose answer was lost
      if (answer !== undefined && 'status' in answer && (answer.status < 300 || answer.status === 404)) return;
      why = `edge ${edge?.id}: ${answer instanceof Error ? answer.message : JSON.stringify(answer)}`;
      await sleep(AGAIN_MS);
    }
    this.#onFailed(kind, 0, fromMs, new Error(`${method} ${path} is not done: ${why}`));
  }
}
