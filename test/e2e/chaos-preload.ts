/**
 * Loaded into the program by --import, and so into its threads as well: makes a listener thread misbehave when the test
 * says so over IPC. The program itself has no such door.
 *
 *   terminate   the thread is ended from outside
 *   throw       an exception that nobody catches
 *   throw-all   the same, in all threads at once
 *   throw-late  the same in one that stands still before: a line of the log says from when on, and clients wait by then
 *   reject      a promise that nobody catches
 *   exit        process.exit
 *   stack       a recursion without end
 *   heap        objects that are kept, until there is no room for more
 *   buffers     the same with buffers, which are no part of the heap
 *   hang        its event loop stands still; a line of the log says from when on
 */

import { spawnSync } from 'node:child_process';
import { writeSync } from 'node:fs';
import { BroadcastChannel, isMainThread, type Worker } from 'node:worker_threads';

const WHY = 'made to fail by the test';
const kept: unknown[] = [];
const endlessly = (): number => endlessly() + 1;
const throwNow = () => {
  throw new Error(WHY);
};
const ACTIONS: Readonly<Record<string, () => void>> = {
  throw: throwNow,
  'throw-all': throwNow,
  'throw-late': () => {
    writeSync(2, `${JSON.stringify({ level: 30, msg: 'made to throw late by the test' })}\n`);
    spawnSync('sleep', ['0.3']);
    throwNow();
  },
  reject: () => void Promise.reject(new Error(WHY)),
  exit: () => process.exit(7),
  stack: endlessly,
  heap: () => {
    for (;;) kept.push(Array.from({ length: 10_000 }, (_, i) => ({ i })));
  },
  buffers: () => {
    for (;;) kept.push(Buffer.allocUnsafeSlow(64 * 1024 * 1024));
  },
  hang: () => {
    writeSync(2, `${JSON.stringify({ level: 30, msg: 'made to hang by the test' })}\n`);
    for (;;);
  },
};

const channel = new BroadcastChannel('stekbal-chaos');

if (isMainThread) {
  const workers: Worker[] = [];
  process.on('worker', (worker: Worker) => {
    workers.push(worker);
    worker.once('exit', () => workers.splice(workers.indexOf(worker), 1));
  });
  process.on('message', (action: string) => {
    if (action === 'terminate') void workers[0]?.terminate();
    else channel.postMessage({ action, threadId: workers[0]?.threadId });
  });
} else {
  const { threadId } = await import('node:worker_threads');
  channel.onmessage = ({ data }: { data: unknown }) => {
    const { action, threadId: target } = data as { action: string; threadId: number };
    if (target !== threadId && action !== 'throw-all') return;
    // at once, as where a request makes it hang: from elsewhere the loop comes by its sockets once more when it is ended
    if (action === 'hang') ACTIONS.hang?.();
    else setImmediate(() => ACTIONS[action]?.());
  };
}
channel.unref();
