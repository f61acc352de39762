/**
 * `stekbal quickstart`: runs config/quickstart.yaml with demo backends, for a first look. What `npm start` does.
 * Main thread; the backends run in a thread of their own.
 */

import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Command, InvalidArgumentError } from 'commander';
import type { Config, TlsConfig } from '../config/config.ts';
import { loadOrExplain } from './check.ts';
import { PACKAGE } from './package.ts';
import { run } from './run.ts';
import { table } from './table.ts';

const TLS_PORT = 8443;
const HELP = `
It runs config/quickstart.yaml: three demo backends on ports 8081 to 8083, HTTP on 8080, and HTTPS with a certificate made for
this run. Ctrl+C drains and ends.

Example:
  stekbal quickstart --port 9080 --tls-port 9443

Exit code: 0 drained, 1 where a port is in use, 64 for a wrong command line.`;

export function quickstartCommand(): Command {
  return new Command('quickstart')
    .description('run with demo backends, for a first look')
    .addHelpText('after', HELP)
    .option('-p, --port <port>', 'listen on this port instead of 8080', parsePort)
    .option('--tls-port <port>', 'listen for TLS on this port', parsePort, TLS_PORT)
    .action(async ({ port, tlsPort }: { port?: number; tlsPort: number }) => {
      const config = loadOrExplain(fileURLToPath(new URL('config/quickstart.yaml', PACKAGE)));
      if (config === null) return;
      if (port !== undefined)
        for (const { address } of config.listeners) if (address.kind === 'tcp') address.port = port;
      await addTlsListener(config, tlsPort);
      const backends = await startBackends(config);
      if (backends === null) return;
      try {
        await run(config, explain);
      } finally {
        await backends.terminate();
      }
    });
}

/** Not in the file, which names no certificate: this one is made here. */
async function addTlsListener(config: Config, port: number): Promise<void> {
  const [plain] = config.listeners;
  if (plain?.address.kind !== 'tcp') return;
  const { quickstartCertificate } = await import('./quickstart-certificate.ts');
  const tls: TlsConfig = {
    certificates: [await quickstartCertificate()],
    minVersion: 'TLSv1.2',
    ticketLifetimeMs: 86_400_000,
    handshakeTimeoutMs: 10_000,
    clientCa: null,
    sessionIdContext: config.sessionIdContext,
  };
  config.listeners.push({ ...plain, address: { ...plain.address, port }, tls });
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

function explain([address = '', tlsAddress = '']: readonly string[]): void {
  const hints = [
    [`curl -i http://${address}/`, 'the first answer sets a cookie'],
    [`curl -c jar -b jar http://${address}/`, 'the same backend each time'],
    [`curl -k https://${tlsAddress}/`, 'TLS, with a certificate made for this run'],
    [`npm run stekbal -- verify ${tlsAddress}`, 'TLS sessions resume'],
    [`npx autocannon -c 100 -d 10 http://${address}/`, 'some load'],
  ];
  process.stdout.write(`
stekbal serves http://${address}/ and https://${tlsAddress}/ in front of three demo backends. Try:

${table(hints.map(([command = '', what = '']) => [`  ${command}`, what])).join('\n')}

Ctrl+C drains and ends. The configuration is config/quickstart.yaml, with a TLS listener added to it.

`);
}
