/** The completion script for zsh. Pure; main thread of a command. */

import {
  allCommands,
  type Completable,
  type CompletableCommand,
  type CompletableOption,
  firstSentence,
} from './completion-model.ts';

/** A function a command, each of which lets _arguments do the work. */
export function zshCompletion(program: CompletableCommand): string {
  const functions = allCommands(program).map((command) =>
    command.subcommands.length > 0 ? group(command) : leaf(command),
  );
  return `#compdef stekbal
# zsh completion for stekbal, made by: stekbal completion zsh

${functions.join('\n\n')}

if [[ $funcstack[1] == _stekbal ]]; then
  _stekbal "$@"
else
  compdef _stekbal stekbal
fi
`;
}

function group(command: CompletableCommand): string {
  const lines = command.subcommands.map((sub) => `    ${quote(`${sub.path.at(-1)}:${firstSentence(sub.summary)}`)}`);
  const cases = command.subcommands.map((sub) => `        ${sub.path.at(-1)}) ${nameOf(sub)} ;;`);
  return `${nameOf(command)}() {
  local curcontext=$curcontext state line
  local -a commands=(
${lines.join('\n')}
  )
  _arguments -C ${[...command.options.map(specOf), `'1:command:->command'`, `'*::argument:->argument'`].join(' \\\n    ')}
  case $state in
    command) _describe command commands ;;
    argument)
      case $words[1] in
${cases.join('\n')}
      esac
      ;;
  esac
}`;
}

function leaf(command: CompletableCommand): string {
  const args = command.args.map((arg, index) =>
    quote(`${arg.isVariadic ? '*' : index + 1}:${arg.name.replace(/:/g, '\\:')}:${actionOf(arg)}`),
  );
  const specs = [...command.options.map(specOf), ...args];
  return `${nameOf(command)}() {
  _arguments ${specs.join(' \\\n    ')}
}`;
}

function nameOf({ path }: CompletableCommand): string {
  return ['_stekbal', ...path].join('_').replaceAll('-', '_');
}

/** `'(-c --config)'{-c,--config}'[the file]:value:_files'` */
function specOf({ flags, description, value }: CompletableOption): string {
  const rest = `[${firstSentence(description).replace(/[\][]/g, '\\$&')}]${value === null ? '' : `:value:${actionOf(value)}`}`;
  if (flags.length === 1) return quote(`${flags[0]}${rest}`);
  return `'(${flags.join(' ')})'{${flags.join(',')}}${quote(rest)}`;
}

function actionOf(value: Completable): string {
  if (value.kind === 'file') return '_files';
  return value.kind === 'words' ? `(${value.words.join(' ')})` : ' ';
}

/** In single quotes; a colon is a separator to zsh only where none is meant. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
