/**
 * What a reload can bring into force, and what has to wait for a restart. Pure, main thread.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Config, StekShareConfig } from '../config/config.ts';

/** Of stek_share, what the cluster takes over while it runs. */
const LIVE_OF_STEK_SHARE = [
  'serverListFile',
  'servers',
  'rootCertFile',
  'serverCertFile',
  'serverKeyFile',
  'certVerifyStr',
] as const satisfies (keyof StekShareConfig)[];

/** What is in force after a reload that brings in what `file` says of the pools and of how to reach the admin API. */
export function withLiveParts(inForce: Config, file: Config): Config {
  // a token goes with its address: one that is needed where it listens now must not go before it listens elsewhere
  const isSameAddress = isDeepStrictEqual(inForce.admin?.address, file.admin?.address);
  const admin =
    isSameAddress && inForce.admin && file.admin
      ? { ...inForce.admin, tokenFile: file.admin.tokenFile }
      : inForce.admin;
  return { ...inForce, pools: file.pools, admin };
}

/** `inForce` with what the cluster takes over while it runs as `file` says. */
export function withLiveStekShare(inForce: StekShareConfig, file: StekShareConfig): StekShareConfig {
  const live = Object.fromEntries(LIVE_OF_STEK_SHARE.map((key) => [key, file[key]]));
  return { ...inForce, ...live };
}

/** The keys, as the file writes them, in which `file` differs from what is in force. */
export function changedKeys(inForce: Config, file: Config): string[] {
  const keys = (Object.keys(file) as (keyof Config)[]).filter((key) => key !== 'pools');
  const changed = keys.flatMap((key) => {
    if (isEqual(inForce[key], file[key])) return [];
    if (key !== 'stekShare' || inForce.stekShare === null || file.stekShare === null) return [nameOf(key)];
    return changedOptions(inForce.stekShare, file.stekShare);
  });
  if (!isEqual(poolNames(inForce), poolNames(file))) changed.push('pools (one was added, removed or renamed)');
  return changed;
}

function changedOptions(inForce: StekShareConfig, file: StekShareConfig): string[] {
  const keys = Object.keys(file) as (keyof StekShareConfig)[];
  return keys.filter((key) => !isEqual(inForce[key], file[key])).map((key) => `stek_share.${nameOf(key)}`);
}

function poolNames(config: Config): string[] {
  return config.pools.map(({ name }) => name).sort();
}

/** `drainTimeoutMs` is `drain_timeout` in the file. */
function nameOf(key: string): string {
  return key.replace(/(?:Ms|S)$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Where a listener stands in the file says nothing of what it is. */
function isEqual(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(withoutPositions(a), withoutPositions(b));
}

function withoutPositions(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value ?? null, (key, v: unknown) => (key === 'path' && isPosition(v) ? undefined : v)),
  );
}

function isPosition(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'line' in value && 'column' in value;
}
