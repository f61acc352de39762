/** Plays the service manager that NOTIFY_SOCKET leads to: a real unix datagram socket, held by a Perl program. */

import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { requirePeer, temporaryFolder } from './harness.ts';

const PROGRAM = fileURLToPath(new URL('./notify-receiver.pl', import.meta.url));
const WAIT_MS = 20_000;

/** One datagram: what stands left and right of each line's first `=`. */
export type Message = Readonly<Record<string, string>>;

export interface NotifyReceiver {
  /** For NOTIFY_SOCKET. */
  readonly path: string;
  /** All so far. */
  readonly messages: readonly Message[];
  /** Resolves to the first message from index `from` on, past or future, for which `matches` holds. */
  received(matches: (message: Message) => boolean, from?: number): Promise<Message>;
  /** A receiver that was held begins to read. */
  release(): void;
}

/** Null, and the test skipped, where there is no Perl. */
export async function startReceiver(
  t: TestContext,
  { path = join(temporaryFolder(t), 'notify'), isHeld = false }: { path?: string; isHeld?: boolean } = {},
): Promise<NotifyReceiver | null> {
  if (!requirePeer(t, spawnSync('perl', ['-v']).status === 0, 'perl is not installed')) return null;
  const child = spawn('perl', [PROGRAM, path, ...(isHeld ? ['held'] : [])], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  t.after(() => {
    child.kill('SIGKILL');
    return exited;
  });
  const messages: Message[] = [];
  const watchers = new Set<() => void>();
  const bound = Promise.withResolvers<void>();
  createInterface(child.stdout).on('line', (line) => {
    if (line === 'bound') return bound.resolve();
    messages.push(parse(Buffer.from(line, 'hex').toString()));
    for (const watcher of watchers) watcher();
  });
  await bound.promise;
  return {
    path,
    messages,
    release: () => child.stdin.write('\n'),
    received: (matches, from = 0) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = messages.slice(from).find(matches);
          if (found === undefined) return;
          clearTimeout(timer);
          watchers.delete(look);
          resolve(found);
        };
        const timer = setTimeout(() => {
          watchers.delete(look);
          reject(new Error(`the awaited message did not come; there are ${JSON.stringify(messages)}`));
        }, WAIT_MS);
        watchers.add(look);
        look();
      }),
  };
}

function parse(datagram: string): Message {
  const lines = datagram.split('\n').filter((line) => line !== '');
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}
