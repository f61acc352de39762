/**
 * Checks what one part of the configuration says of another: names, and limits that depend on each other.
 * Works on raw values, so that it can report beside the schema's own errors. Main thread.
 */

import type { DiagnosticList } from './diagnostics.ts';
import { suggestName } from './issues.ts';
import { asList, asMap, type KeyPath, type YamlSource } from './source.ts';
import { formatSize, parseSize, show } from './units.ts';

const ANY_SIZE = { min: 0, max: Number.MAX_SAFE_INTEGER };
const HEAD_SIZE_DEFAULT = '32KiB';

/** Every service a listener names and every pool a service names must exist, and should be used. */
export function checkReferences(source: YamlSource, diagnostics: DiagnosticList): void {
  const root = asMap(source.value);
  const services = asMap(root?.services) ?? {};
  const uses = [...servicesOfListeners(root?.listeners)];
  checkNames(source, diagnostics, 'services', uses, 'no listener names this service; name it in one, or remove it');
  const needs = Object.entries(services).flatMap(([service, raw]) => {
    const name = asMap(raw)?.pool;
    return typeof name === 'string' ? [{ path: ['services', service, 'pool'], name }] : [];
  });
  checkNames(source, diagnostics, 'pools', needs, 'no service names this pool; name it in one, or remove it');
}

/** max_target_size <= max_head_size; only what the file says is compared: the default yields. */
export function checkLimits(source: YamlSource, diagnostics: DiagnosticList): void {
  const limits = asMap(asMap(source.value)?.limits);
  const head = parseSize(limits?.max_head_size ?? HEAD_SIZE_DEFAULT, ANY_SIZE);
  const target = parseSize(limits?.max_target_size ?? 0, ANY_SIZE);
  if (!head.ok || !target.ok || target.value <= head.value) return;
  diagnostics.error(
    source.locate(['limits', 'max_target_size']),
    `max_target_size: the target is part of the head; write at most max_head_size, ${formatSize(head.value)}`,
  );
}

/** Every place in the listeners that names a service. */
export function* servicesOfListeners(listeners: unknown): Generator<{ path: KeyPath; name: string; plain: boolean }> {
  for (const [index, raw] of asList(listeners).entries()) {
    const listener = asMap(raw);
    const plain = listener?.tls === undefined;
    const name = listener?.service;
    if (typeof name === 'string') yield { path: ['listeners', index, 'service'], name, plain };
    for (const [host, service] of Object.entries(asMap(listener?.hosts) ?? {})) {
      if (typeof service === 'string') yield { path: ['listeners', index, 'hosts', host], name: service, plain };
    }
  }
}

/** Reports names that nothing has, and what has a name that nothing uses. */
function checkNames(
  source: YamlSource,
  diagnostics: DiagnosticList,
  group: 'services' | 'pools',
  uses: readonly { path: KeyPath; name: string }[],
  unused: string,
): void {
  const known = asMap(asMap(source.value)?.[group]) ?? {};
  const names = Object.keys(known);
  const strays = uses.filter(({ name }) => !Object.hasOwn(known, name));
  for (const { path, name } of strays) {
    const advice = suggestName(name, names, `add it under ${group}`);
    diagnostics.error(source.locate(path), `there is no ${group.slice(0, -1)} ${show(name)}; ${advice}`);
  }
  // A stray name may be a misspelling of what seems unused; in a damaged file, its use may be what could not be parsed;
  // and where nothing is named at all, something else is wrong.
  if (strays.length > 0 || uses.length === 0 || source.damaged) return;
  const used = new Set(uses.map(({ name }) => name));
  for (const name of names) if (!used.has(name)) diagnostics.warning(source.locateKey([group, name]), unused);
}
