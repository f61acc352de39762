/**
 * Node's own warnings (deprecations, leaks, experimental parts) as lines of the log: left to Node, they are loose text among
 * JSON on stderr. Main thread.
 */

import type { Log } from './log.ts';

/** From now on. node:ffi's warning that it is experimental is left out: system-calls.ts knows, and can do without. */
export function logProcessWarnings(log: Log): void {
  // the one listener there is before a program adds its own is Node's, which prints
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (isExpected(warning)) return;
    const { name, code } = warning as NodeJS.ErrnoException;
    log.warn({ warning: name, ...(code === undefined ? {} : { code }) }, warning.message);
  });
}

function isExpected({ name, message }: Error): boolean {
  return name === 'ExperimentalWarning' && message.startsWith('FFI ');
}
