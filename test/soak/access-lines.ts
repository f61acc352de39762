/** The edges' access logs, read once at the end: which node a request was on, that its client could not tell. */

import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface AccessLines {
  readonly lines: number;
  /** Lines that are no JSON; the last one of a process that was killed may be torn. */
  readonly broken: number;
  /** By the request's id: where it was. */
  readonly nodes: ReadonlyMap<string, string>;
}

/** `ids` are those that are asked for. */
export async function readAccessLogs(files: readonly string[], ids: ReadonlySet<string>): Promise<AccessLines> {
  const nodes = new Map<string, string>();
  let [lines, broken] = [0, 0];
  for (const file of files.filter((one) => existsSync(one))) {
    for await (const line of createInterface({ input: createReadStream(file, 'latin1') })) {
      lines++;
      try {
        const { target = '', node = '' } = JSON.parse(line) as { target?: string; node?: string };
        const id = target.split('/')[2] ?? '';
        if (ids.has(id) && node !== '') nodes.set(id, node);
      } catch {
        broken++;
      }
    }
  }
  return { lines, broken, nodes };
}
