/**
 * What a shell can complete, read from the program itself: so that no command or option is forgotten. Pure; main thread
 * of a command.
 */

import type { Argument, Command, Option } from 'commander';

/** What stands behind an option, or as an argument. */
export type Completable =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'file' }
  /** An address, a number, a name: known to nobody here. */
  | { readonly kind: 'text' };

export interface CompletableOption {
  /** `-c`, `--config`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** Null: it takes no value. */
  readonly value: Completable | null;
}

/** A command. */
export interface CompletableCommand {
  /** The words that lead to it, without the program's own name; empty for the program. */
  readonly path: readonly string[];
  readonly summary: string;
  readonly subcommands: readonly CompletableCommand[];
  readonly options: readonly CompletableOption[];
  readonly args: readonly (Completable & { readonly name: string; readonly isVariadic: boolean })[];
}

/** Placeholders that stand for a path. */
const PATH_NAMES = ['file', 'path', 'folder'];

export function readCompletable(command: Command, path: readonly string[] = []): CompletableCommand {
  const help = command.createHelp();
  return {
    path,
    summary: command.summary() || command.description(),
    subcommands: help.visibleCommands(command).map((sub) => {
      const own = readCompletable(sub, [...path, sub.name()]);
      // what commander adds by itself
      return sub.name() === 'help' ? { ...own, args: [namesOf(command)] } : own;
    }),
    options: help.visibleOptions(command).map(readOption),
    args: command.registeredArguments.map(readArgument),
  };
}

/** The command and all below it, parents first. */
export function allCommands(command: CompletableCommand): CompletableCommand[] {
  return [command, ...command.subcommands.flatMap(allCommands)];
}

/** Of a description, for a list. */
export function firstSentence(text: string): string {
  return text.split(/(?<=[^.])\. /)[0] ?? text;
}

function namesOf(command: Command): CompletableCommand['args'][number] {
  const words = command.commands.map((sub) => sub.name());
  return { kind: 'words', words, name: 'command', isVariadic: false };
}

function readOption(option: Option): CompletableOption {
  const flags = [option.short, option.long].filter((flag) => flag !== undefined && flag !== null);
  const name = /[<[]([\w-]+)/.exec(option.flags)?.[1];
  const value = name === undefined ? null : completableOf(name, option.argChoices);
  return { flags, description: option.description, value };
}

function readArgument(argument: Argument) {
  const name = argument.name();
  return { ...completableOf(name, argument.argChoices), name, isVariadic: argument.variadic };
}

function completableOf(name: string, choices: readonly string[] | undefined): Completable {
  if (choices !== undefined) return { kind: 'words', words: choices };
  return { kind: PATH_NAMES.includes(name) ? 'file' : 'text' };
}
