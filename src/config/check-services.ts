/**
 * Checks a service's affinity keys against each other, and against what browsers accept as a cookie.
 * Works on raw values, so that it can report beside the schema's own errors. Main thread.
 */

import { servicesOfListeners } from './check-references.ts';
import type { DiagnosticList, SourcePosition } from './diagnostics.ts';
import { AFFINITY_KEYS, COOKIE_KEYS } from './schema-service.ts';
import { asMap, type YamlMap, type YamlSource } from './source.ts';
import { parseFlag, wordOf } from './units.ts';

/** One service and the means to speak of its keys. */
interface Checked {
  keys: YamlMap;
  /** Some listener without TLS leads here. */
  onPlain: boolean;
  diagnostics: DiagnosticList;
  at(key: string): SourcePosition;
}

/** Checks every service. */
export function checkServices(source: YamlSource, diagnostics: DiagnosticList): void {
  const root = asMap(source.value);
  const uses = [...servicesOfListeners(root?.listeners)];
  const onPlain = new Set(uses.filter((use) => use.plain).map((use) => use.name));
  for (const [name, raw] of Object.entries(asMap(root?.services) ?? {})) {
    const keys = asMap(raw);
    if (keys === null) continue;
    const at = (key: string) => source.locateKey(['services', name, key]);
    checkAffinity({ keys, onPlain: onPlain.has(name), diagnostics, at });
  }
}

function checkAffinity(service: Checked): void {
  const { keys } = service;
  if (!isOn(keys.affinity)) {
    if (!('affinity' in keys) || isOff(keys.affinity)) {
      warnIdle(service, AFFINITY_KEYS, 'it has no effect while affinity is off; write affinity: yes, or remove it');
    }
    return;
  }
  if (isOn(keys.affinity_use_domain)) {
    const idle = [...COOKIE_KEYS, 'affinity_use_salt', 'affinity_salt'];
    warnIdle(service, idle, 'it has no effect with affinity_use_domain, which sets no cookie; remove one of the two');
    return;
  }
  if ('affinity_salt' in keys && (!('affinity_use_salt' in keys) || isOff(keys.affinity_use_salt))) {
    warnIdle(service, ['affinity_salt'], 'the salt is not used; write affinity_use_salt: yes, or remove it');
  }
  checkSecure(service);
  checkPrefix(service);
}

/** Browsers drop a cookie with SameSite=None or Partitioned that is not Secure. */
function checkSecure(service: Checked): void {
  const { keys, diagnostics } = service;
  const demanding = [
    { key: 'affinity_cookie_same_site', set: wordOf(keys.affinity_cookie_same_site) === 'none' },
    { key: 'affinity_cookie_partitioned', set: isOn(keys.affinity_cookie_partitioned) },
  ];
  for (const { key, set } of demanding) {
    if (!set || isOn(keys.affinity_cookie_secure)) continue;
    const what = key === 'affinity_cookie_partitioned' ? 'a Partitioned cookie' : 'SameSite=None';
    if (isOff(keys.affinity_cookie_secure)) {
      diagnostics.error(service.at(key), `browsers refuse ${what} without Secure; write affinity_cookie_secure: yes`);
    } else if (service.onPlain) {
      const why = "affinity_cookie_secure: auto leaves Secure out on this service's plain listeners";
      diagnostics.warning(
        service.at(key),
        `browsers refuse ${what} without Secure, and ${why}; write yes behind a TLS proxy`,
      );
    }
  }
}

/** RFC 6265bis, section 4.1.3: names that begin with __Secure- or __Host- bind the attributes. */
function checkPrefix(service: Checked): void {
  const { keys, diagnostics } = service;
  const name = wordOf(keys.affinity_cookie_header);
  const isHost = name.startsWith('__host-');
  if (!isHost && !name.startsWith('__secure-')) return;
  const at = service.at('affinity_cookie_header');
  if (isOff(keys.affinity_cookie_secure)) {
    diagnostics.error(at, 'browsers refuse a cookie of this name without Secure; write affinity_cookie_secure: yes');
  }
  if (isHost && 'affinity_cookie_domain' in keys) {
    diagnostics.error(at, 'browsers refuse a __Host- cookie with a Domain; remove affinity_cookie_domain');
  }
}

function warnIdle(service: Checked, keys: readonly string[], message: string): void {
  for (const key of keys) {
    if (key in service.keys) service.diagnostics.warning(service.at(key), `${key}: ${message}`);
  }
}

function isOn(raw: unknown): boolean {
  const flag = parseFlag(raw);
  return flag.ok && flag.value;
}

function isOff(raw: unknown): boolean {
  const flag = parseFlag(raw);
  return flag.ok && !flag.value;
}
