/** The completion script for fish. Pure; main thread of a command. */

import {
  allCommands,
  type Completable,
  type CompletableCommand,
  type CompletableOption,
  firstSentence,
} from './completion-model.ts';

/** A line an option, argument and subcommand, each with the condition that says in which command it is. */
export function fishCompletion(program: CompletableCommand): string {
  return `# fish completion for stekbal, made by: stekbal completion fish

# whether the command line stands in the command that these words name, and in none below it
function __stekbal_in
    set -l words (commandline -opc)
    set -e words[1]
    set -l path
    set -l known ${quote(
      allCommands(program)
        .map(({ path }) => path.join(' '))
        .filter((path) => path !== '')
        .join(';'),
    )}
    for word in $words
        set -l deeper (string trim "$path $word")
        contains -- "$deeper" (string split ';' $known); and set path $deeper
    end
    test "$path" = "$argv"
end

complete -c stekbal -f
${allCommands(program).flatMap(linesOf).join('\n')}
`;
}

function linesOf({ path, subcommands, options, args }: CompletableCommand): string[] {
  const start = `complete -c stekbal -n ${quote(`__stekbal_in ${path.join(' ')}`.trim())}`;
  return [
    ...subcommands.map((sub) => `${start} -a ${sub.path.at(-1)} -d ${quote(firstSentence(sub.summary))}`),
    ...args.flatMap((arg) => {
      if (arg.kind === 'file') return [`${start} -F`];
      return arg.kind === 'words' ? [`${start} -a ${quote(arg.words.join(' '))}`] : [];
    }),
    ...options.map((option) => `${start} ${optionFlags(option)} -d ${quote(firstSentence(option.description))}`),
  ];
}

function optionFlags({ flags, value }: CompletableOption): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  return [...names, ...(value === null ? [] : [valueFlags(value)])].join(' ');
}

function valueFlags(value: Completable): string {
  if (value.kind === 'file') return '-r -F';
  return value.kind === 'words' ? `-x -a ${quote(value.words.join(' '))}` : '-x';
}

function quote(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
