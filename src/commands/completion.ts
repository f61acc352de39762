/**
 * `stekbal completion SHELL`: prints a script that completes commands, options and files. Main thread.
 */

import { Argument, Command } from 'commander';
import { bashCompletion } from './completion-bash.ts';
import { fishCompletion } from './completion-fish.ts';
import { type CompletableCommand, readCompletable } from './completion-model.ts';
import { zshCompletion } from './completion-zsh.ts';

const HELP = `
Examples:
  source <(stekbal completion bash)                                     # in this shell
  stekbal completion bash > /etc/bash_completion.d/stekbal              # for all, with bash-completion
  stekbal completion zsh > "\${fpath[1]}/_stekbal"                       # zsh, from the next shell on
  stekbal completion fish > ~/.config/fish/completions/stekbal.fish`;

const SCRIPTS: Readonly<Record<string, (program: CompletableCommand) => string>> = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
};

/** The command; what it knows of is the program that it belongs to. */
export function completionCommand(): Command {
  const command = new Command('completion')
    .summary('print a completion script for bash, zsh or fish')
    .description('Print a script that makes a shell complete commands, options and the names of files.')
    .addHelpText('after', HELP)
    .addArgument(new Argument('<shell>', 'whose script').choices(Object.keys(SCRIPTS)));
  return command.action((shell: string) => {
    const program = readCompletable(command.parent ?? command);
    process.stdout.write((SCRIPTS[shell] as (program: CompletableCommand) => string)(program));
  });
}
