/**
 * `stekbal run -c FILE`: runs in the foreground until it is told to stop. Main thread.
 *
 * SIGHUP reloads, SIGTERM and SIGINT drain and exit 0; a second one ends at once. A service manager is told how it goes.
 */

import { Command } from 'commander';
import { AdminServer } from '../admin/server.ts';
import type { BindAddress } from '../boards/listener-task.ts';
import { type Config, formatListenAddress } from '../config/config.ts';
import { explainUnwritable } from '../control/access-log-file.ts';
import { Edge } from '../control/edge.ts';
import { adviceFor, explainListenError } from '../control/explain-listen.ts';
import { createLog, type Log } from '../control/log.ts';
import { logProcessWarnings } from '../control/process-warnings.ts';
import { StartError } from '../control/start-error.ts';
import { REPLACEMENT_MS_MAX } from '../control/supervisor.ts';
import { type ServiceEnvironment, takeServiceEnvironment } from '../control/systemd/environment.ts';
import { adminSocket, explainUnservable, unservedNames } from '../control/systemd/passed-sockets.ts';
import { openServiceManager, type ServiceManager } from '../control/systemd/service-manager.ts';
import { statusLine } from '../control/systemd/status-line.ts';
import { ListenError } from '../control/thread-link.ts';
import { loadOrExplain } from './check.ts';
import { EX_CONFIG, EXIT_FAILURE, EXIT_SECOND_SIGNAL } from './exit-codes.ts';
import { packageVersion } from './package.ts';

const HELP = `
SIGHUP reads the configuration again; stekbal reload does too, and says what came of it. SIGTERM and SIGINT drain: no new
connections are taken, and what is in flight is answered, within drain_timeout; a second one ends at once.

Example:
  stekbal run -c /etc/stekbal/stekbal.yaml

Exit code: 0 drained, 1 an address in use or the like, 64 for a wrong command line, 78 for a bad configuration, 143 ended by
a second signal.`;

/** The command. It sets process.exitCode: 78 for a bad configuration, 1 where an address cannot be listened on. */
export function runCommand(): Command {
  return new Command('run')
    .description('run in the foreground; log to stderr')
    .addHelpText('after', HELP)
    .requiredOption('-c, --config <file>', 'the configuration file (YAML)')
    .action(async ({ config: file }: { config: string }) => {
      const config = loadOrExplain(file, { expired: 'warning' });
      if (config !== null) await run(config);
    });
}

export interface RunHooks {
  /** What `config` has that its file has not: put into the file that a reload reads. */
  readonly amend?: (file: Config) => void;
  /** Told once all threads listen: the listeners' addresses, and the admin API's, null where it is off. */
  readonly onServing?: (addresses: readonly string[], admin: string | null) => void;
}

/** Runs until stopped. */
export async function run(config: Config, { amend, onServing }: RunHooks = {}): Promise<void> {
  const log = await createLog(config.logLevel);
  logProcessWarnings(log);
  const environment = takeServiceEnvironment(process.env, process.pid);
  const { sockets } = environment;
  if (!explainSockets(config, environment)) return;
  const unwritable = explainUnwritable(config);
  if (unwritable !== null) {
    process.stderr.write(`${unwritable}\n`);
    process.exitCode = EXIT_FAILURE;
    return;
  }
  for (const problem of environment.problems) log.warn(problem);
  const unserved = unservedNames(config, sockets);
  if (unserved.length > 0) log.warn({ sockets: unserved }, 'passed, and not in the configuration: nobody serves them');
  const manager = openServiceManager(environment, log);
  manager.starting();

  let admin: AdminServer | null = null;
  let { drainTimeoutMs } = config;
  const edge = new Edge({
    config,
    log,
    version: packageVersion(),
    passedSockets: sockets,
    ...(amend !== undefined && { amend }),
    onReloading: () => manager.reloading(),
    onReloaded: (result) => manager.reloaded(result),
    onReload: async (file) => {
      ({ drainTimeoutMs } = file);
      if (file.admin !== null) admin?.reload(file.admin);
    },
  });
  const stopping = stopOnSignals(edge, log, () => manager.stopping(drainTimeoutMs));
  process.on('SIGHUP', () => void edge.reload());
  edge.preload();
  try {
    if (config.admin !== null) {
      admin = new AdminServer(config.admin, edge, log, { socket: adminSocket(config, sockets) });
      // before the member has a vote that others count on
      if (config.stekShare !== null) await admin.load();
    }
    await edge.join();
    const adminAddress = (await admin?.listen()) ?? null;
    if (adminAddress !== null) log.info({ address: adminAddress }, 'admin API');
    const bound = await edge.start();
    const addresses = bound.map(formatBound);
    log.info({ addresses, workers: config.workers, pid: process.pid }, 'serving');
    reportReady(manager, edge);
    onServing?.(addresses, adminAddress);
    await admin?.load();
  } catch (error) {
    // told to stop before it had started: what start() needs was ended under it
    if (!stopping.isRequested) {
      await edge.drain();
      await admin?.close();
      manager.close();
      explainStartError(error, config);
      process.exitCode = EXIT_FAILURE;
      return;
    }
  }
  await stopping.drained;
  // last: what a drain does can be watched
  await admin?.close();
  manager.close();
}

function reportReady(manager: ServiceManager, edge: Edge): void {
  manager.ready({
    status: () => statusLine(edge.summary(), edge.readiness()),
    threads: () => ({
      areAllAlive: edge.areAllAlive,
      replacementMsMax: edge.workerHangTimeoutMs + REPLACEMENT_MS_MAX,
    }),
  });
}

interface Stopping {
  isRequested: boolean;
  /** Resolves when the edge has drained after a first signal. */
  readonly drained: Promise<void>;
}

function stopOnSignals(edge: Edge, log: Log, onStopping: () => void): Stopping {
  const { promise: drained, resolve, reject } = Promise.withResolvers<void>();
  const stopping: Stopping = { isRequested: false, drained };
  const onSignal = (signal: NodeJS.Signals) => {
    if (stopping.isRequested) {
      log.warn({ signal }, 'ended at once, by a second signal');
      process.exit(EXIT_SECOND_SIGNAL);
    }
    stopping.isRequested = true;
    onStopping();
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

/** The sockets that the configuration names must have been passed. False, with exit code 78 set, if not. */
function explainSockets(config: Config, { sockets, problems }: ServiceEnvironment): boolean {
  const errors = explainUnservable(config, sockets);
  if (errors.length === 0) return true;
  process.stderr.write([...errors, ...problems, ''].join('\n'));
  process.exitCode = EX_CONFIG;
  return false;
}

/** Throws what is not an operator's to mend. */
function explainStartError(error: unknown, config: Config): void {
  if (error instanceof ListenError) process.stderr.write(`${explainListenError(error, config)}\n`);
  else if (error instanceof StartError) {
    const reason = error.code === null ? '' : `: ${adviceFor(error.code)}`;
    process.stderr.write(`${config.file}: ${error.message}${reason}\n`);
  } else throw error;
}

function formatBound(address: BindAddress): string {
  return formatListenAddress({ ...address });
}
