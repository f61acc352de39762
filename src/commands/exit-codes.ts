/** What the commands exit with. Main thread of a command. */

/** A failure at run time. */
export const EXIT_FAILURE = 1;
/** sysexits.h: the command was used incorrectly. */
export const EX_USAGE = 64;
/** sysexits.h: something was found in an unconfigured or misconfigured state. */
export const EX_CONFIG = 78;
/** Whoever read the output has left: 128 + SIGPIPE, as a shell would say it. */
export const EXIT_BROKEN_PIPE = 141;
/** Ended by a second signal: connections were cut. 128 + SIGTERM, as a shell would say it. */
export const EXIT_SECOND_SIGNAL = 143;

/** For help and documents. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, 'done'],
  [EXIT_FAILURE, 'it failed: an address in use, no edge that answers, a session that does not resume...'],
  [EX_USAGE, 'the command line is wrong'],
  [EX_CONFIG, 'the configuration is; every fault is named'],
  [EXIT_BROKEN_PIPE, 'whoever read its output left before the end, as head does'],
  [EXIT_SECOND_SIGNAL, 'ended by a second signal, while it drained'],
];

/** What stands below the list of commands. */
export function exitCodesHelp(): string {
  const rows = EXIT_CODES.map(([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`);
  return ['', 'Exit codes:', ...rows, '', 'Options and examples of a command: stekbal help COMMAND'].join('\n');
}
