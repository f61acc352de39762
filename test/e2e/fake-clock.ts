/**
 * A wall clock that a test sets while the program runs (Debian's libfaketime, preloaded). The monotonic clock goes on as it
 * is, as when a machine's time is set.
 */

import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const LIBRARIES = '/usr/lib';
const LIBRARY = 'faketime/libfaketimeMT.so.1';

/** Null where it is not installed. */
function findLibrary(): string | null {
  const folders = existsSync(LIBRARIES) ? readdirSync(LIBRARIES) : [];
  const paths = folders.map((folder) => join(LIBRARIES, folder, LIBRARY));
  return paths.find((path) => existsSync(path)) ?? null;
}

const library = findLibrary();

export const hasFakeClock = library !== null;

export class FakeClock {
  /** For the program. */
  readonly env: NodeJS.ProcessEnv;
  readonly #folder = mkdtempSync(join(tmpdir(), 'stekbal-clock-'));

  constructor() {
    this.set(0);
    this.env = {
      LD_PRELOAD: library ?? '',
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** Seconds ahead of the true time; negative: behind it. */
  set(aheadS: number): void {
    // in one step: the library reads it at every look at the clock
    const next = `${this.#file}.new`;
    writeFileSync(next, aheadS < 0 ? `${aheadS}` : `+${aheadS}`);
    renameSync(next, this.#file);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }

  get #file(): string {
    return join(this.#folder, 'clock');
  }
}
