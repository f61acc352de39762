/**
 * The log: JSON lines on stderr, readable ones on a terminal. Main thread; listener threads send their lines here.
 */

import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type Log = Logger;

/** Lines that could not be written (a full disk) wait up to this much; past it they are dropped. */
const WAITING_BYTES_MAX = 64 * 1024;

/**
 * Writes at once, so that nothing is lost at a crash; a reader of stderr that stands still holds up the main thread, as it
 * does with most programs, and never a listener thread. A write that fails costs lines, not the program.
 */
export function createLog(level: string): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (process.stderr.isTTY) {
    return pino(options, pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'time' }));
  }
  const destination = pino.destination({ dest: 2, sync: true, maxLength: WAITING_BYTES_MAX });
  destination.on('error', () => {});
  return pino(options, destination);
}
