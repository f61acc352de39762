/** A file system of a small size in a folder of the test: it can be filled, made read-only, and healed. Needs root. */

import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { requirePeer } from './harness.ts';

const PIECE = Buffer.alloc(4096);

export interface SmallDisk {
  /** Where it is mounted. */
  readonly folder: string;
  /** Nothing more can be written. */
  fill(): void;
  /** There is room again. */
  empty(): void;
  /** Covers it with an empty one that cannot be written to, as if errors had made the kernel go over to that. */
  makeReadOnly(): void;
  makeWritable(): void;
}

/** Mounted until the test ends. Null, and the test is skipped, where that is not permitted. */
export function mountSmallDisk(t: TestContext): SmallDisk | null {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-disk-'));
  const isMounted = mount(folder, 'size=192k,mode=700');
  // whatever lies over it too
  t.after(() => {
    while (unmount(folder));
    // what still runs may write there
    rmSync(folder, { recursive: true, maxRetries: 5, retryDelay: 20 });
  });
  if (!requirePeer(t, isMounted, 'mounting a tmpfs needs root (CAP_SYS_ADMIN)')) return null;
  const filler = join(folder, 'filler');
  return {
    folder,
    fill: () => fill(filler),
    empty: () => rmSync(filler),
    makeReadOnly: () => void mount(folder, 'ro,mode=700'),
    makeWritable: () => void unmount(folder),
  };
}

function mount(folder: string, options: string): boolean {
  return spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).status === 0;
}

/** Lazily: the program may have files open there. False where it is no mount any more. */
function unmount(folder: string): boolean {
  return spawnSync('umount', ['-l', folder]).status === 0;
}

function fill(path: string): void {
  const fd = openSync(path, 'w');
  try {
    for (;;) writeSync(fd, PIECE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(fd);
  }
}
