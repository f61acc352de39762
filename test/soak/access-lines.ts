/** The edges' access logs, read once at the end: which node a request was on, and why it failed, as no client can tell. */

import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface AccessLines {
  readonly lines: number;
  /** Lines that are no JSON; the last one of a process that was killed may be torn. */
  readonly broken: number;
  /** By the request's id. */
  readonly requests: ReadonlyMap<string, AccessLine>;
}

export interface AccessLine {
  /** The last that it was on. */
  readonly node: string;
  /** Why it failed; empty where it did not. */
  readonly reason: string;
  /** Nodes or connections that it was tried on. */
  readonly attempts: number;
}

/** `ids` are those that are asked for. */
export async function readAccessLogs(files: readonly string[], ids: ReadonlySet<string>): Promise<AccessLines> {
  const requests = new Map<string, AccessLine>();
  let [lines, broken] = [0, 0];
  for (const file of files.filter((one) => existsSync(one))) {
    for await (const line of createInterface({ input: createReadStream(file, 'latin1') })) {
      lines++;
      try {
        const {
          target = '',
          node = '',
          reason = '',
          attempts = 0,
        } = JSON.parse(line) as Partial<AccessLine & { target: string }>;
        const id = target.split('/')[2] ?? '';
        if (ids.has(id) && node !== '') requests.set(id, { node, reason, attempts });
      } catch {
        broken++;
      }
    }
  }
  return { lines, broken, requests };
}
