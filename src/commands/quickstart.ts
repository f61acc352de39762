/**
 * `stekbal quickstart`: runs config/quickstart.yaml with demo backends, for a first look. What `npm start` does.
 * Main thread; the backends run in a thread of their own.
 */

import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Command, InvalidArgumentError } from 'commander';
import type { CertificateConfig, Config, ListenAddress, TlsConfig } from '../config/config.ts';
import { loadOrExplain } from './check.ts';
import { EXIT_FAILURE } from './exit-codes.ts';
import { PACKAGE } from './package.ts';
import { run } from './run.ts';
import { table } from './table.ts';

const TLS_PORT = 8443;
/** Where commands ask. */
const ADMIN_DEFAULT = '127.0.0.1:9900';
const HELP = `
It runs config/quickstart.yaml: three demo backends on ports 8081 to 8083, HTTP on 8080, the dashboard and the admin API on
9900, and HTTPS with a certificate made for this run. Ctrl+C drains and ends.

Example:
  stekbal quickstart --port 9080 --tls-port 9443 --admin-port 9901

Exit code: 0 drained, 1 where a port is in use, 64 for a wrong command line.`;
const OTHER_PORTS = 'other ports: --port, --tls-port and --admin-port, as in: npm start -- --admin-port 9901\n';

interface QuickstartOptions {
  readonly port?: number;
  readonly tlsPort: number;
  readonly adminPort?: number;
}

export function quickstartCommand(): Command {
  return new Command('quickstart')
    .description('run with demo backends, for a first look')
    .addHelpText('after', HELP)
    .option('-p, --port <port>', 'listen on this port instead of 8080', parsePort)
    .option('--tls-port <port>', 'listen for TLS on this port', parsePort, TLS_PORT)
    .option('--admin-port <port>', 'the dashboard and the admin API on this port instead of 9900', parsePort)
    .action(async (options: QuickstartOptions) => {
      const config = loadOrExplain(fileURLToPath(new URL('config/quickstart.yaml', PACKAGE)));
      if (config === null) return;
      const amend = await amendment(options);
      amend(config);
      const backends = await startBackends(config);
      if (backends === null) return;
      try {
        await run(config, { amend, onServing: explain });
        if (process.exitCode === EXIT_FAILURE) process.stderr.write(OTHER_PORTS);
      } finally {
        await backends.terminate();
      }
    });
}

/** Puts into the file what the command line says, and a TLS listener: the file names no certificate, it is made here. */
async function amendment({ port, tlsPort, adminPort }: QuickstartOptions): Promise<(file: Config) => void> {
  const { quickstartCertificate } = await import('./quickstart-certificate.ts');
  const certificate = await quickstartCertificate();
  return (file) => {
    for (const { address } of file.listeners) setPort(address, port);
    if (file.admin !== null) setPort(file.admin.address, adminPort);
    addTlsListener(file, tlsPort, certificate);
  };
}

function addTlsListener(file: Config, port: number, certificate: CertificateConfig): void {
  const [plain] = file.listeners;
  if (plain?.address.kind !== 'tcp') return;
  const tls: TlsConfig = {
    certificates: [certificate],
    minVersion: 'TLSv1.2',
    ticketLifetimeMs: 86_400_000,
    handshakeTimeoutMs: 10_000,
    clientCa: null,
    sessionIdContext: file.sessionIdContext,
  };
  file.listeners.push({ ...plain, address: { ...plain.address, port }, tls });
}

function setPort(address: ListenAddress, port: number | undefined): void {
  if (port !== undefined && address.kind === 'tcp') address.port = port;
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
    process.exitCode = EXIT_FAILURE;
    return null;
  }
  return worker;
}

function explain([address = '', tlsAddress = '']: readonly string[], admin: string | null): void {
  const where = admin === ADMIN_DEFAULT ? '' : ` -a ${admin}`;
  const hints = [
    [`http://${admin}/`, 'the dashboard: open it in a browser'],
    [`curl -i http://${address}/`, 'the first answer sets a cookie'],
    [`curl -c jar -b jar http://${address}/`, 'the same backend each time'],
    [`curl -k https://${tlsAddress}/`, 'TLS, with a certificate made for this run'],
    [`npm run -s stekbal -- verify ${tlsAddress}`, 'TLS sessions resume'],
    [`npx autocannon -c 100 -d 10 http://${address}/`, 'some load'],
    [`npm run -s stekbal -- pool demo drain 127.0.0.1:8082${where}`, 'no new clients for one backend'],
    [`npm run -s stekbal -- status${where}`, 'what is going on, in a terminal'],
  ];
  process.stdout.write(`
stekbal serves http://${address}/ and https://${tlsAddress}/ in front of three demo backends. Try:

${table(hints.map(([command = '', what = '']) => [`  ${command}`, what])).join('\n')}

Ctrl+C drains and ends. The configuration is config/quickstart.yaml, with a TLS listener added to it: change the file, and
"npm run -s stekbal -- reload${where}" brings it in force.

`);
}
