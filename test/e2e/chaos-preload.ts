/**
 * Loaded into the program by --import, and so into its threads as well: makes a listener thread misbehave when the test
 * says so over IPC. The program itself has no such door.
 *
 *   terminate   the thread is ended from outside
 *   throw       an exception that nobody catches
 *   hang        its event loop stands still; a line of the log says from when on
 */

import { writeSync } from 'node:fs';
import { BroadcastChannel, isMainThread, type Worker } from 'node:worker_threads';

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
    if (target !== threadId) return;
    if (action === 'throw') {
      setImmediate(() => {
        throw new Error('made to fail by the test');
      });
    } else {
      writeSync(2, `${JSON.stringify({ level: 30, msg: 'made to hang by the test' })}\n`);
      for (;;);
    }
  };
}
channel.unref();
