/** Starts subjects: on a port of their own, until they listen. */

import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../test/e2e/cluster-network.ts';
import { canConnect } from '../test/e2e/tls-peers.ts';
import { end, start } from './processes.ts';
import type { Setting, Subject } from './subjects/subject.ts';

const START_MAX_MS = 30_000;
const LOOK_MS = 20;
const SAID_CHARS_MAX = 2_000;

export interface Launched {
  readonly subject: Subject;
  readonly process: ChildProcess;
  readonly pid: number;
  readonly port: number;
  /** As it was started, in one line. */
  readonly command: string;
  /** The end of what it wrote, for when it fails. */
  said(): string;
}

/** What is the same for all subjects of a group. */
export type SharedSetting = Omit<Setting, 'port'>;

/** Starts `subject` on `cores`. Rejects, with what it said, where it does not listen. */
export async function launch(subject: Subject, shared: SharedSetting, cores: string | null): Promise<Launched> {
  const folder = join(shared.folder, subject.name.replaceAll(/\W+/g, '-'));
  mkdirSync(folder);
  const port = await freePort();
  const { program, args } = subject.prepare({ ...shared, folder, port });
  const child = start(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cores, cwd: folder });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk) => {
      said = (said + chunk).slice(-SAID_CHARS_MAX);
    });
  const failed = Promise.race([
    once(child, 'close').then(() => 'it ended'),
    once(child, 'error').then(([error]) => (error as Error).message),
    sleep(START_MAX_MS, `it did not listen within ${START_MAX_MS} ms`, { ref: false }),
  ]);
  for (;;) {
    const failure = await Promise.race([failed, sleep(LOOK_MS, null)]);
    if (failure !== null) {
      await end(child);
      throw new Error(`${failure}; it said: ${said.trim()}`);
    }
    if (await canConnect(port))
      return {
        subject,
        process: child,
        pid: child.pid as number,
        port,
        command: [program, ...args].join(' '),
        said: () => said.trim(),
      };
  }
}
