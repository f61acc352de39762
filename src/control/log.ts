/**
 * The log: JSON lines on stderr, readable ones on a terminal. Main thread; listener threads send their lines here.
 */

import { type Logger, pino } from 'pino';
import { LogWriter } from './log-writer.ts';

export type Log = Logger;

const STDERR = 2;

/**
 * Writes at once, so that nothing is lost at a crash, but for lines that nobody reads (log-writer.ts); on a terminal,
 * which is held up by Ctrl-S, the main thread is too. A listener thread never is.
 */
export async function createLog(level: string): Promise<Log> {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (process.stderr.isTTY) {
    const { default: pretty } = await import('pino-pretty');
    return pino(options, pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'time' }));
  }
  const writer = new LogWriter(STDERR);
  const log = pino(options, writer);
  writer.onCaughtUp = (lines) => log.warn({ lines }, 'log lines dropped: whoever reads stderr did not keep up');
  process.once('exit', () => writer.finish());
  return log;
}
