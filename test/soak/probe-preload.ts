/**
 * Loaded into an edge by --import, and so into its threads: each tells every SAMPLE_MS, over IPC, what it holds, after a
 * collection of its heap. The program itself has no such door. It ends with the process that made it.
 */

import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BroadcastChannel, isMainThread, threadId } from 'node:worker_threads';

const SAMPLE_MS = Number(process.env.STEKBAL_SOAK_SAMPLE_MS ?? 10_000);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const channel = new BroadcastChannel('stekbal-soak');

function sample() {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return { threadId, heapUsed, external, resources: process.getActiveResourcesInfo().length };
}

if (isMainThread) {
  const send = (thread: object) => {
    if (process.connected) process.send?.({ type: 'sample', thread });
  };
  channel.onmessage = ({ data }: { data: unknown }) => send(data as object);
  process.on('disconnect', () => process.exit(1));
  // the program ends when nothing keeps it: its door to the soak does not
  process.channel?.unref();
  setInterval(() => {
    const descriptors = readdirSync('/proc/self/fd').length;
    send({ ...sample(), process: { rss: process.memoryUsage.rss(), descriptors } });
  }, SAMPLE_MS).unref();
} else {
  setInterval(() => channel.postMessage(sample()), SAMPLE_MS).unref();
}
channel.unref();
