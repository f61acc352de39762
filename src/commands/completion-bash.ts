/** The completion script for bash. Pure; main thread of a command. */

import { allCommands, type Completable, type CompletableCommand } from './completion-model.ts';

/** A function that walks the words up to the cursor, and then knows which command it is in. */
export function bashCompletion(program: CompletableCommand): string {
  const commands = allCommands(program);
  return `# bash completion for stekbal, made by: stekbal completion bash
# shellcheck shell=bash disable=SC2207

_stekbal_files() {
  compopt -o filenames 2>/dev/null
  mapfile -t COMPREPLY < <(compgen -f -- "$1")
}

_stekbal_words() {
  mapfile -t COMPREPLY < <(compgen -W "$2" -- "$1")
}

_stekbal() {
  local cur=\${COMP_WORDS[COMP_CWORD]} path= position=0 value= i
  COMPREPLY=()
  # bash takes --config=FILE for three words
  if [[ $cur == = ]]; then cur=; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    value=
    case "$path|\${COMP_WORDS[i]}" in
${commands.flatMap(descents).join('\n')}
${commands.flatMap(valuedOptions).join('\n')}
      *'|'-*) ;;
      *) position=$((position + 1)) ;;
    esac
    if [[ -n $value ]]; then
      i=$((i + 1))
      if [[ \${COMP_WORDS[i]} == = && i -lt COMP_CWORD ]]; then i=$((i + 1)); fi
      if ((i >= COMP_CWORD)); then break; fi
      value=
    fi
  done
  case "$value" in
    '') ;;
    file) _stekbal_files "$cur"; return ;;
    text) return ;;
    *) _stekbal_words "$cur" "$value"; return ;;
  esac
  if [[ $cur == -* ]]; then
    case "$path" in
${commands.map(optionWords).join('\n')}
    esac
    return
  fi
  case "$path:$position" in
${commands.flatMap(argumentWords).join('\n')}
  esac
}

complete -F _stekbal stekbal
`;
}

function descents({ path, subcommands }: CompletableCommand): string[] {
  return subcommands.map(
    (sub) => `      '${path.join(' ')}|${sub.path.at(-1)}') path='${sub.path.join(' ')}' position=0 ;;`,
  );
}

function valuedOptions({ path, options }: CompletableCommand): string[] {
  return options.flatMap(({ flags, value }) => {
    if (value === null) return [];
    const patterns = flags.map((flag) => `'${path.join(' ')}|${flag}'`).join(' | ');
    return [`      ${patterns}) value='${describe(value)}' ;;`];
  });
}

function describe(value: Completable): string {
  return value.kind === 'words' ? value.words.join(' ') : value.kind;
}

function optionWords({ path, options }: CompletableCommand): string {
  const words = options.flatMap(({ flags }) => flags).join(' ');
  return `      '${path.join(' ')}') _stekbal_words "$cur" '${words}' ;;`;
}

function argumentWords({ path, subcommands, args }: CompletableCommand): string[] {
  const place = path.join(' ');
  if (subcommands.length > 0) {
    return [`    '${place}:0') _stekbal_words "$cur" '${subcommands.map((sub) => sub.path.at(-1)).join(' ')}' ;;`];
  }
  return args.flatMap((arg, index) => {
    const pattern = arg.isVariadic ? `'${place}:'*` : `'${place}:${index}'`;
    if (arg.kind === 'file') return [`    ${pattern}) _stekbal_files "$cur" ;;`];
    return arg.kind === 'words' ? [`    ${pattern}) _stekbal_words "$cur" '${arg.words.join(' ')}' ;;`] : [];
  });
}
