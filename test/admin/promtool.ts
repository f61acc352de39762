/** Prometheus's own checker. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import type { TestContext } from 'node:test';
import { requirePeer } from '../e2e/harness.ts';

/** Skips the test where it is not installed. */
export function hasPromtool(t: TestContext): boolean {
  return requirePeer(t, spawnSync('promtool', ['--version']).status === 0, 'promtool is not installed');
}

/** Runs it, with `input` on its stdin; fails where it finds a fault. Returns what it said. */
export function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  return stdout + stderr;
}
