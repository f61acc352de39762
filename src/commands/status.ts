/**
 * `stekbal status`: asks a running edge's admin API, and prints what it says. Main thread.
 */

import { Command } from 'commander';
import type { EdgeStatus } from '../control/status.ts';
import { addAdminOptions, askOrExplain } from './admin-access.ts';
import { renderStatus } from './status-text.ts';

/** The command. It sets process.exitCode: 1 where nothing answers, 78 for a bad configuration. */
export function statusCommand(): Command {
  const command = new Command('status').description(
    'show the cluster, the ticket keys, the pools and their nodes, as a running edge sees them',
  );
  return addAdminOptions(command)
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const status = await askOrExplain(command, { path: '/status' }, isStatus);
      if (status === null) return;
      process.stdout.write(json === true ? `${JSON.stringify(status, null, 2)}\n` : renderStatus(status, Date.now()));
    });
}

/** Enough to tell it from what other programs answer. */
export function isStatus(body: unknown): body is EdgeStatus {
  return typeof body === 'object' && body !== null && 'cluster' in body && 'pools' in body && 'keys' in body;
}
