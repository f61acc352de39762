/**
 * `stekbal quickstart`: runs config/quickstart.yaml with demo backends, for a first look. What `npm start` does.
 * Main thread; the backends run in a thread of their own.
 */

import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Command, InvalidArgumentError } from 'commander';
import type { Config } from '../config/config.ts';
import { loadOrExplain } from './check.ts';
import { PACKAGE } from './package.ts';
import { run } from './run.ts';

export function quickstartCommand(): Command {
  return new Command('quickstart')
    .description('run with demo backends, for a first look')
    .option('-p, --port <port>', 'listen on this port instead of 8080', parsePort)
    .action(async ({ port }: { port?: number }) => {
      const config = loadOrExplain(fileURLToPath(new URL('config/quickstart.yaml', PACKAGE)));
      if (config === null) return;
      if (port !== undefined)
        for (const { address } of config.listeners) if (address.kind === 'tcp') address.port = port;
      const backends = await startBackends(config);
      if (backends === null) return;
      try {
        await run(config, explain);
      } finally {
        await backends.terminate();
      }
    });
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65535) throw new InvalidArgumentError('It takes a number from 0 to 65535.');
  return port;
}

/** Demo backends on every node's address; null, with exit code 1 set, where one of them is taken. */
async function startBackends(config: Config): Promise<Worker | null> {
  const nodes = config.pools.flatMap((pool) => pool.nodes);
  const worker = new Worker(new URL(`./quickstart-backends${import.meta.url.slice(-3)}`, import.meta.url), {
    workerData: nodes.map(({ host, port, address }) => ({ host, port, address })),
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.once('message', () => resolve());
  worker.once('error', reject);
  try {
    await promise;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const advice = code === 'EADDRINUSE' ? '; stop what listens there' : '';
    process.stderr.write(`the demo backends cannot start: ${message}${advice}\n`);
    process.exitCode = 1;
    return null;
  }
  return worker;
}

function explain([address = '']: readonly string[]): void {
  process.stdout.write(`
stekbal serves http://${address}/ in front of three demo backends. Try:

  curl -i http://${address}/                         the first answer sets a cookie
  curl -c jar -b jar http://${address}/              the same backend each time
  npx autocannon -c 100 -d 10 http://${address}/     some load

Ctrl+C drains and ends. The configuration is config/quickstart.yaml.

`);
}
