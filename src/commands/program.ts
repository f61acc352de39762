/** All commands, under one name. Main thread. */

import { Command, type CommanderError } from 'commander';
import { EX_USAGE, exitCodesHelp } from './exit-codes.ts';
import { watchOutput } from './output.ts';
import { packageVersion } from './package.ts';

const COMPLETION = 'completion';
/** In the order of the help. Loaded when they are wanted: no start is to wait for what other commands need. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./run.ts')).runCommand(),
  quickstart: async () => (await import('./quickstart.ts')).quickstartCommand(),
  check: async () => (await import('./check.ts')).checkCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  reload: async () => (await import('./reload.ts')).reloadCommand(),
  pool: async () => (await import('./pool.ts')).poolCommand(),
  keys: async () => (await import('./keys.ts')).keysCommand(),
  verify: async () => (await import('./verify.ts')).verifyCommand(),
  convert: async () => (await import('./convert.ts')).convertCommand(),
  [COMPLETION]: async () => (await import('./completion.ts')).completionCommand(),
};

/** With the command of this name alone; with all of them where there is none, or it tells of the others. */
export async function createProgram(named?: string): Promise<Command> {
  const program = new Command('stekbal')
    .description('Edge load balancer for small fleets')
    .version(packageVersion())
    .addHelpText('after', exitCodesHelp())
    .showHelpAfterError('(see stekbal --help)')
    .hook('preAction', (_, command) => watchOutput(command.name()));
  for (const create of wanted(named)) program.addCommand(await create());
  for (const command of withSubcommands(program)) command.exitOverride(exitWithUsage);
  return program;
}

function wanted(named: string | undefined) {
  const isEnough = named !== undefined && named !== COMPLETION && Object.hasOwn(COMMANDS, named);
  return Object.entries(COMMANDS).flatMap(([name, create]) => (!isEnough || name === named ? create : []));
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands.flatMap(withSubcommands)];
}

/** commander exits with 1 on a bad command line; that is kept for failures at run time. */
function exitWithUsage(error: CommanderError): never {
  process.exit(error.exitCode === 0 ? 0 : EX_USAGE);
}
