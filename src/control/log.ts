/**
 * The log: JSON lines on stderr, readable ones on a terminal. Main thread; listener threads send their lines here.
 */

import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type Log = Logger;

/** Bytes that wait for a slow reader of stderr; past them lines are dropped rather than memory filled. */
const WAITING_BYTES_MAX = 1024 * 1024;

/** Never holds up the main thread: what nobody reads waits, and is written out at the exit at the latest. */
export function createLog(level: string): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (process.stderr.isTTY) {
    return pino(options, pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'time' }));
  }
  const destination = pino.destination({ dest: 2, sync: false, maxLength: WAITING_BYTES_MAX });
  process.on('exit', () => destination.flushSync());
  return pino(options, destination);
}
