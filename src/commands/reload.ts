/**
 * `stekbal reload`: has a running edge read its configuration again, and prints what came of it. Main thread.
 */

import { Command } from 'commander';
import type { ReloadResult } from '../control/reload-result.ts';
import { addAdminOptions, CHANGE_TIMEOUT_MS, withAdmin } from './admin-access.ts';
import { EX_CONFIG } from './exit-codes.ts';

const HELP = `
The edge reads the file that it was started with. The whole file is checked first: with an error in it nothing is changed,
and the errors are printed. -c only says where to ask; where the file has errors already, the edge is not asked.

Without an admin API: kill -HUP PID; what came of it stands in the log, and in systemctl status.

Exit code: 0 reloaded, 78 refused: the configuration has errors, 1 nothing answers, 64 the command line is wrong.`;

const OTHERWISE = 'reload by "kill -HUP PID", and read the log';
const UNPROCESSABLE = 422;

/** The command. It sets process.exitCode: 1 where nothing answers, 78 where the configuration is refused. */
export function reloadCommand(): Command {
  const command = new Command('reload')
    .description('have a running edge read its configuration file again, and say what came of it')
    .addHelpText('after', HELP);
  return addAdminOptions(command)
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const question = {
        path: '/reload',
        method: 'POST',
        timeoutMs: CHANGE_TIMEOUT_MS,
        accepts: [UNPROCESSABLE],
      } as const;
      const result = await withAdmin(command, (ask) => ask(question, isReloadResult), OTHERWISE);
      if (result === null) return;
      if (json === true) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
      else print(result);
      if (!result.isOk) process.exitCode = EX_CONFIG;
    });
}

function print({ isOk, isServed, errors, warnings, waiting }: ReloadResult): void {
  const complaints = [...errors, ...warnings];
  if (complaints.length > 0) process.stderr.write(`${complaints.join('\n')}\n`);
  if (!isOk) {
    process.stderr.write(isServed ? 'reload failed in part\n' : 'reload refused: nothing was changed\n');
    return;
  }
  const later = waiting.length > 0 ? `; in force after a restart only: ${waiting.join(', ')}` : '';
  process.stdout.write(`reloaded${later}\n`);
}

function isReloadResult(body: unknown): body is ReloadResult {
  return typeof body === 'object' && body !== null && 'isOk' in body && 'waiting' in body;
}
