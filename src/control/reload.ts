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

/** What is in force after a reload: all that `file` says, but for what a running program cannot change. */
export function withLiveParts(inForce: Config, file: Config): Config {
  const { stateDir, stekShare, ticketKeys } = inForce;
  // a token goes with its address: one that is needed where it listens now must not go before it listens elsewhere
  const isSameAddress = isDeepStrictEqual(inForce.admin?.address, file.admin?.address);
  const admin = isSameAddress ? file.admin : inForce.admin;
  return { ...file, stateDir, stekShare, ticketKeys, admin };
}

/** The files of what `listeners` show or trust now, and did not before in the same place. No text of theirs. */
export function changedFiles(before: readonly ListenerConfig[], listeners: readonly ListenerConfig[]): string[] {
  const changed = listeners.flatMap(({ tls, address }) => {
    const old = before.find((one) => isDeepStrictEqual(one.address, address))?.tls ?? null;
    if (tls === null) return [];
    const isNew = (now: CertificateConfig) => !old?.certificates.some((one) => isDeepStrictEqual(one, now));
    const certificates = tls.certificates.filter(isNew).map(({ certFile }) => certFile);
    const hasNewCa = tls.clientCa !== null && !isDeepStrictEqual(tls.clientCa, old?.clientCa);
    return tls.clientCa !== null && hasNewCa ? [...certificates, tls.clientCa.file] : certificates;
  });
  return [...new Set(changed)];
}

/** PEM texts of what `listeners` show and trust. */
export function certificatesOf(listeners: readonly ListenerConfig[]): Set<string> {
  const texts = listeners.flatMap(({ tls }) => {
    if (tls === null) return [];
    return [...tls.certificates.map(({ cert }) => cert), ...(tls.clientCa === null ? [] : [tls.clientCa.pem])];
  });
  return new Set(texts);
}

/** `inForce` with what the cluster takes over while it runs as `file` says. */
export function withLiveStekShare(inForce: StekShareConfig, file: StekShareConfig): StekShareConfig {
  const live = Object.fromEntries(LIVE_OF_STEK_SHARE.map((key) => [key, file[key]]));
  return { ...inForce, ...live };
}

/** What a reload leaves as it is. Of a key that was brought along, only the first start of a cluster takes notice. */
const WAITING = ['stateDir', 'stekShare', 'admin'] as const satisfies (keyof Config)[];

/** The keys, as the file writes them, in which `file` differs from what is in force. */
export function waitingKeys(inForce: Config, file: Config): string[] {
  return WAITING.flatMap((key) => {
    if (isEqual(inForce[key], file[key])) return [];
    if (key !== 'stekShare' || inForce.stekShare === null || file.stekShare === null) return [nameOf(key)];
    return changedOptions(inForce.stekShare, file.stekShare);
  });
}

function changedOptions(inForce: StekShareConfig, file: StekShareConfig): string[] {
  const keys = Object.keys(file) as (keyof StekShareConfig)[];
  return keys.filter((key) => !isEqual(inForce[key], file[key])).map((key) => `stek_share.${nameOf(key)}`);
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
