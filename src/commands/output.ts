/**
 * What becomes of a command whose output nobody takes: `stekbal status --watch | head`, a full disk. Main thread.
 */

import { EXIT_BROKEN_PIPE, EXIT_FAILURE } from './exit-codes.ts';

/** Commands that serve. What they do is not for stdout, and they go on without it. */
const SERVING: readonly string[] = ['run', 'quickstart'];

/** Ends the process where stdout fails, instead of an error with its stack: quietly where a reader has left. */
export function watchOutput(command: string): void {
  const isServing = SERVING.includes(command);
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (isServing) return;
    if (code === 'EPIPE') process.exit(EXIT_BROKEN_PIPE);
    process.stderr.write(`the output could not be written: ${message}\n`);
    process.exit(EXIT_FAILURE);
  });
  // there is nowhere to say it; the exit code does
  process.stderr.on('error', () => {});
}
