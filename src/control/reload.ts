/**
 * What a reload can bring into force, and what has to wait for a restart. Pure, main thread.
 */

import { isDeepStrictEqual } from 'node:util';
import type { CertificateConfig, Config, ListenerConfig, StekShareConfig } from '../config/config.ts';

/** Of stek_share, what the cluster takes over while it runs. */
const LIVE_OF_STEK_SHARE = [
  'serverListFile',
  'servers',
  'rootCertFile',
  'serverCertFile',
  'serverKeyFile',
  'certVerifyStr',
] as const satisfies (keyof StekShareConfig)[];

/**
 * What is in force after a reload that brings in what `file` says of the pools, of TLS where a listener speaks it already,
 * and of how to reach the admin API.
 */
export function withLiveParts(inForce: Config, file: Config): Config {
  // a token goes with its address: one that is needed where it listens now must not go before it listens elsewhere
  const isSameAddress = isDeepStrictEqual(inForce.admin?.address, file.admin?.address);
  const admin =
    isSameAddress && inForce.admin && file.admin
      ? { ...inForce.admin, tokenFile: file.admin.tokenFile }
      : inForce.admin;
  const listeners = inForce.listeners.map((listener, i) => withLiveTls(listener, twinOf(listener, i, file)));
  // what it says is in the listeners' tls
  const { sessionIdContext } = file;
  return { ...inForce, listeners, sessionIdContext, pools: file.pools, admin };
}

/** The files of what `listeners` show or trust now, and did not before in the same place. No text of theirs. */
export function changedTlsFiles(before: readonly ListenerConfig[], listeners: readonly ListenerConfig[]): string[] {
  const changed = listeners.flatMap(({ tls }, i) => {
    const old = before[i]?.tls ?? null;
    if (tls === null) return [];
    const isNew = (now: CertificateConfig) => !old?.certificates.some((one) => isDeepStrictEqual(one, now));
    const certificates = tls.certificates.filter(isNew).map(({ certFile }) => certFile);
    const hasNewCa = tls.clientCa !== null && !isDeepStrictEqual(tls.clientCa, old?.clientCa);
    return tls.clientCa !== null && hasNewCa ? [...certificates, tls.clientCa.file] : certificates;
  });
  return [...new Set(changed)];
}

/** From plain to TLS and back is another listener, which waits for a restart. */
function withLiveTls(listener: ListenerConfig, twin: ListenerConfig | undefined): ListenerConfig {
  return listener.tls !== null && twin !== undefined && twin.tls !== null ? { ...listener, tls: twin.tls } : listener;
}

/** The same listener in the file: also where another was written before it, so that its certificates can be renewed. */
function twinOf({ address }: ListenerConfig, index: number, { listeners }: Config): ListenerConfig | undefined {
  const isSame = (one: ListenerConfig | undefined) => isDeepStrictEqual(one?.address, address);
  return isSame(listeners[index]) ? listeners[index] : listeners.find(isSame);
}

/** `inForce` with what the cluster takes over while it runs as `file` says. */
export function withLiveStekShare(inForce: StekShareConfig, file: StekShareConfig): StekShareConfig {
  const live = Object.fromEntries(LIVE_OF_STEK_SHARE.map((key) => [key, file[key]]));
  return { ...inForce, ...live };
}

/** Pools are live; of a key that was brought along, only the first start of a cluster takes notice. */
const SEPARATE: ReadonlySet<keyof Config> = new Set(['pools', 'ticketKeys']);

/** The keys, as the file writes them, in which `file` differs from what is in force. */
export function changedKeys(inForce: Config, file: Config): string[] {
  const keys = (Object.keys(file) as (keyof Config)[]).filter((key) => !SEPARATE.has(key));
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
