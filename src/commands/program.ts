/** All commands, under one name. Main thread. */

import { readFileSync } from 'node:fs';
import { Command, type CommanderError } from 'commander';
import { checkCommand } from './check.ts';
import { PACKAGE, quickstartCommand } from './quickstart.ts';
import { runCommand } from './run.ts';

/** sysexits.h: the command was used incorrectly. */
const EX_USAGE = 64;

export function createProgram(): Command {
  const { version } = JSON.parse(readFileSync(new URL('package.json', PACKAGE), 'utf8')) as { version: string };
  const program = new Command('stekbal')
    .description('Edge load balancer for small fleets')
    .version(version)
    .showHelpAfterError('(see stekbal --help)');
  for (const command of [runCommand(), quickstartCommand(), checkCommand()]) program.addCommand(command);
  for (const command of [program, ...program.commands]) command.exitOverride(exitWithUsage);
  return program;
}

/** commander exits with 1 on a bad command line; that is kept for failures at run time. */
function exitWithUsage(error: CommanderError): never {
  process.exit(error.exitCode === 0 ? 0 : EX_USAGE);
}
