/**
 * The log: JSON lines on stderr, readable ones on a terminal. Main thread; listener threads send their lines here.
 */

import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type Log = Logger;

export function createLog(level: string): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (process.stderr.isTTY) {
    return pino(options, pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'time' }));
  }
  return pino(options, pino.destination({ dest: 2, sync: true }));
}
