/**
 * `stekbal run -c FILE`: runs in the foreground until it is told to stop. Main thread.
 *
 * SIGHUP reloads, SIGTERM and SIGINT drain and exit 0; a second one ends at once.
 */

import { closeSync, openSync } from 'node:fs';
import { Command } from 'commander';
import type { AdminServer } from '../admin/server.ts';
import type { BindAddress } from '../boards/listener-task.ts';
import { type Config, formatListenAddress } from '../config/config.ts';
import { Edge } from '../control/edge.ts';
import { createLog, type Log } from '../control/log.ts';
import { StartError } from '../control/start-error.ts';
import { ListenError } from '../control/supervisor.ts';
import { EX_CONFIG, loadOrExplain } from './check.ts';
import { packageVersion } from './package.ts';

/** Ended by a second signal: connections were cut. 128 + SIGTERM, as a shell would say it. */
const EXIT_SECOND_SIGNAL = 143;

/** The command. It sets process.exitCode: 78 for a bad configuration, 1 where an address cannot be listened on. */
export function runCommand(): Command {
  return new Command('run')
    .description('run in the foreground; log to stderr')
    .requiredOption('-c, --config <file>', 'the configuration file (YAML)')
    .action(async ({ config: file }: { config: string }) => {
      const config = loadOrExplain(file, { expired: 'warning' });
      if (config !== null && explainUnserved(config)) await run(config);
    });
}

/** Runs until stopped. `onServing` is told the addresses once all threads listen. */
export async function run(config: Config, onServing?: (addresses: readonly string[]) => void): Promise<void> {
  if (!explainUnwritable(config)) return;
  const log = createLog(config.logLevel);
  let admin: AdminServer | null = null;
  const onReload = async (file: Config) => {
    if (file.admin !== null) admin?.reload(file.admin);
  };
  const edge = new Edge({ config, log, version: packageVersion(), onReload });
  const stopping = stopOnSignals(edge, log);
  process.on('SIGHUP', () => {
    edge.reload().catch((err: unknown) => log.error({ err }, 'reload failed'));
  });
  try {
    // loaded where it is wanted alone, as the framework takes as long as all of the rest; and before the member has a vote
    const adminModule = config.admin === null ? null : await import('../admin/server.ts');
    await edge.join();
    if (adminModule !== null && config.admin !== null) {
      admin = new adminModule.AdminServer(config.admin, edge, log);
      log.info({ address: await admin.listen() }, 'admin API');
    }
    const bound = await edge.start();
    const addresses = bound.map((address) => (address === null ? '' : formatBound(address)));
    log.info({ addresses, workers: config.workers, pid: process.pid }, 'serving');
    onServing?.(addresses);
  } catch (error) {
    // told to stop before it had started: what start() needs was ended under it
    if (!stopping.isRequested) {
      await edge.drain();
      await admin?.close();
      explainStartError(error, config);
      process.exitCode = 1;
      return;
    }
  }
  await stopping.drained;
  // last: what a drain does can be watched
  await admin?.close();
}

interface Stopping {
  isRequested: boolean;
  /** Resolves when the edge has drained after a first signal. */
  readonly drained: Promise<void>;
}

function stopOnSignals(edge: Edge, log: Log): Stopping {
  const { promise: drained, resolve, reject } = Promise.withResolvers<void>();
  const stopping: Stopping = { isRequested: false, drained };
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping.isRequested) {
      log.warn({ signal }, 'ended at once, by a second signal');
      process.exit(EXIT_SECOND_SIGNAL);
    }
    stopping.isRequested = true;
    log.info({ signal }, 'draining: no new connections; a second signal ends at once');
    edge.drain().then((connectionsCut) => {
      if (connectionsCut > 0) log.warn({ connectionsCut }, 'drain timeout: connections were cut');
      log.info('drained');
      process.exitCode = 0;
      resolve();
    }, reject);
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  return stopping;
}

/** What the configuration may ask for and this version does not do. False, with exit code 78 set, where it asks so. */
function explainUnserved(config: Config): boolean {
  const unserved = config.listeners.filter((l) => l.address.kind === 'fd');
  for (const { path } of unserved) {
    process.stderr.write(
      `${path.file}:${path.line}:${path.column}: socket activation is not served by this version; not started\n`,
    );
  }
  const isAdminUnserved = config.admin?.address.kind === 'fd';
  if (isAdminUnserved) {
    process.stderr.write(`${config.file}: admin: socket activation is not served by this version; not started\n`);
  }
  const isServed = unserved.length === 0 && !isAdminUnserved;
  if (!isServed) process.exitCode = EX_CONFIG;
  return isServed;
}

/** The access log must be there to be appended to before a thread depends on it. False, with exit code 1 set, if not. */
function explainUnwritable({ accessLog }: Config): boolean {
  if (accessLog === null) return true;
  try {
    closeSync(openSync(accessLog, 'a', 0o640));
    return true;
  } catch (error) {
    process.stderr.write(`access_log: cannot append to ${accessLog}: ${(error as NodeJS.ErrnoException).code}\n`);
    process.exitCode = 1;
    return false;
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there; stop it, or choose another port',
  EACCES: 'not permitted; ports below 1024 need CAP_NET_BIND_SERVICE or root',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the host name is not known',
};

/** Throws what is not an operator's to mend. */
function explainStartError(error: unknown, config: Config): void {
  if (error instanceof ListenError) explainListenError(error, config);
  else if (error instanceof StartError) {
    const reason = error.code === null ? '' : `: ${error.code}${error.code in ADVICE ? `: ${ADVICE[error.code]}` : ''}`;
    process.stderr.write(`${config.file}: ${error.message}${reason}\n`);
  } else throw error;
}

function explainListenError(error: ListenError, config: Config): void {
  const listener = config.listeners[error.listener];
  const where = listener ? `${listener.path.file}:${listener.path.line}:${listener.path.column}: ` : '';
  const what = listener ? `cannot listen on ${formatListenAddress(listener.address)}` : error.message;
  process.stderr.write(`${where}${what}: ${error.code}: ${ADVICE[error.code] ?? error.message}\n`);
}

function formatBound(address: BindAddress): string {
  return formatListenAddress({ ...address });
}
