/** All commands, under one name. Main thread. */

import { Command, type CommanderError } from 'commander';
import { checkCommand } from './check.ts';
import { packageVersion } from './package.ts';
import { quickstartCommand } from './quickstart.ts';
import { runCommand } from './run.ts';
import { statusCommand } from './status.ts';

/** sysexits.h: the command was used incorrectly. */
const EX_USAGE = 64;

export function createProgram(): Command {
  const program = new Command('stekbal')
    .description('Edge load balancer for small fleets')
    .version(packageVersion())
    .showHelpAfterError('(see stekbal --help)');
  for (const command of [runCommand(), quickstartCommand(), checkCommand(), statusCommand()])
    program.addCommand(command);
  for (const command of [program, ...program.commands]) command.exitOverride(exitWithUsage);
  return program;
}

/** commander exits with 1 on a bad command line; that is kept for failures at run time. */
function exitWithUsage(error: CommanderError): never {
  process.exit(error.exitCode === 0 ? 0 : EX_USAGE);
}
