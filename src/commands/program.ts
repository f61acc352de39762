/** All commands, under one name. Main thread. */

import { Command, type CommanderError } from 'commander';
import { checkCommand } from './check.ts';
import { completionCommand } from './completion.ts';
import { convertCommand } from './convert.ts';
import { EX_USAGE, exitCodesHelp } from './exit-codes.ts';
import { keysCommand } from './keys.ts';
import { watchOutput } from './output.ts';
import { packageVersion } from './package.ts';
import { poolCommand } from './pool.ts';
import { quickstartCommand } from './quickstart.ts';
import { reloadCommand } from './reload.ts';
import { runCommand } from './run.ts';
import { statusCommand } from './status.ts';
import { verifyCommand } from './verify.ts';

export function createProgram(): Command {
  const program = new Command('stekbal')
    .description('Edge load balancer for small fleets')
    .version(packageVersion())
    .addHelpText('after', exitCodesHelp())
    .showHelpAfterError('(see stekbal --help)')
    .hook('preAction', (_, command) => watchOutput(command.name()));
  const commands = [
    runCommand,
    quickstartCommand,
    checkCommand,
    statusCommand,
    reloadCommand,
    poolCommand,
    keysCommand,
    verifyCommand,
    convertCommand,
    completionCommand,
  ];
  for (const create of commands) program.addCommand(create());
  for (const command of withSubcommands(program)) command.exitOverride(exitWithUsage);
  return program;
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** commander exits with 1 on a bad command line; that is kept for failures at run time. */
function exitWithUsage(error: CommanderError): never {
  process.exit(error.exitCode === 0 ? 0 : EX_USAGE);
}
