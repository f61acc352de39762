/** Other programs as peers of a test. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import { eventually } from './harness.ts';

/** Starts a program that stays in the foreground and listens on `port`, to which it resolves. It ends with the test. */
export async function startPeer(
  t: TestContext,
  command: string,
  args: readonly string[],
  port: number,
): Promise<number> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = once(child, 'exit');
  t.after(() => {
    child.kill('SIGKILL');
    return exited;
  });
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  const what = () => `${command} to listen; it said ${said}`;
  await eventually(() => canConnect(port), what);
  return port;
}

/** Whether something listens on it. */
export function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
