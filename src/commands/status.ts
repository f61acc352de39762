/**
 * `stekbal status`: asks a running edge's admin API, and prints what it says. Main thread.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { AdminClientError } from '../admin/client.ts';
import type { EdgeStatus } from '../control/status.ts';
import { type Ask, addAdminOptions, withAdmin } from './admin-access.ts';
import { terminalPaint } from './paint.ts';
import { renderStatus } from './status-text.ts';

const HELP = `
What needs looking after stands first, behind a "!". NO_COLOR=1 leaves out the colours.

Exit code: 0 where the edge answered, trouble or not; 1 where nothing answers; 64 for a wrong command line; 78 for a
configuration with errors, or without admin.`;

const WATCH_INTERVAL_MS = 2_000;
const CLEAR = '\x1b[H\x1b[2J';

interface StatusOptions {
  readonly json?: true;
  readonly watch?: true;
}

/** The command. It sets process.exitCode: 1 where nothing answers, 78 for a bad configuration. */
export function statusCommand(): Command {
  const command = new Command('status')
    .description('show the cluster, the ticket keys, the pools and their nodes, as a running edge sees them')
    .addHelpText('after', HELP);
  return addAdminOptions(command)
    .option('-w, --watch', 'again every 2 s, until it is interrupted')
    .option('--json', 'print JSON')
    .action(async (options: StatusOptions) => {
      await withAdmin(command, (ask) => (options.watch === true ? watch(ask, options) : show(ask, options)));
    });
}

async function watch(ask: Ask, options: StatusOptions): Promise<void> {
  const clear = process.stdout.isTTY && options.json !== true ? CLEAR : '';
  await show(ask, options, clear);
  for (;;) {
    await sleep(WATCH_INTERVAL_MS);
    try {
      await show(ask, options, clear);
    } catch (error) {
      // an edge that is restarted is what one watches for
      if (!(error instanceof AdminClientError)) throw error;
      process.stderr.write(`${clear}${error.message}\n`);
    }
  }
}

async function show(ask: Ask, { json }: StatusOptions, before = ''): Promise<void> {
  const status = await ask({ path: '/status' }, isStatus);
  const text = json === true ? `${JSON.stringify(status, null, 2)}\n` : renderStatus(status, Date.now(), terminalPaint);
  process.stdout.write(before + text);
}

/** Enough to tell it from what other programs answer. */
export function isStatus(body: unknown): body is EdgeStatus {
  return typeof body === 'object' && body !== null && 'cluster' in body && 'pools' in body && 'keys' in body;
}
