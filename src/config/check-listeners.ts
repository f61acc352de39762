/**
 * Checks the addresses the program opens, listeners and admin, and the hosts a listener names.
 * Works on raw values, so that it can report beside the schema's own errors. Main thread.
 */

import { isLocalAddress, parseHostPattern, parseListenAddress } from './addresses.ts';
import { formatListenAddress, type ListenAddress } from './config.ts';
import type { DiagnosticList } from './diagnostics.ts';
import { checkFile, resolvePath } from './files.ts';
import { asList, asMap, type KeyPath, type YamlMap, type YamlSource } from './source.ts';

/** Checks every listener and the admin address. */
export function checkListeners(source: YamlSource, diagnostics: DiagnosticList): void {
  const root = asMap(source.value);
  const taken = new Map<string, KeyPath>();
  for (const [index, raw] of asList(root?.listeners).entries()) {
    const listener = asMap(raw);
    if (listener === null) continue;
    const path = ['listeners', index];
    checkAddress(source, diagnostics, [...path, 'address'], listener.address, taken);
    checkHosts(source, diagnostics, path, listener);
  }
  const admin = asMap(root?.admin);
  if (admin === null) return;
  const address = checkAddress(source, diagnostics, ['admin', 'address'], admin.address, taken);
  checkFile(source, ['admin', 'token_file'], admin.token_file, diagnostics);
  // who can reach a passed socket shows when it is there
  if (address === null || address.kind === 'fd' || isLocalAddress(address) || admin.token_file !== undefined) return;
  diagnostics.error(
    source.locate(['admin', 'address']),
    `others can reach ${formatListenAddress(address)}; write 127.0.0.1, [::1] or unix:/path, or give a token_file`,
  );
}

/** Reports an address that is taken already; null when it is none. */
function checkAddress(
  source: YamlSource,
  diagnostics: DiagnosticList,
  path: KeyPath,
  raw: unknown,
  taken: Map<string, KeyPath>,
): ListenAddress | null {
  const address = raw === undefined ? null : parseListenAddress(raw);
  if (address === null || !address.ok) return null;
  const absolute = absoluteAddress(source, address.value);
  if (absolute.kind === 'tcp' && absolute.port === 0) return absolute;
  const name = formatListenAddress(absolute);
  const first = taken.get(name);
  if (first === undefined) taken.set(name, path);
  else {
    const { line } = source.locate(first);
    diagnostics.error(source.locate(path), `${name} is taken on line ${line} already; write another address`);
  }
  return absolute;
}

/** A unix path in an address is relative to the file, as every path. */
export function absoluteAddress(source: YamlSource, address: ListenAddress): ListenAddress {
  return address.kind === 'unix' ? { kind: 'unix', path: resolvePath(source, address.path) } : address;
}

function checkHosts(source: YamlSource, diagnostics: DiagnosticList, path: KeyPath, listener: YamlMap): void {
  const hosts = Object.keys(asMap(listener.hosts) ?? {});
  const seen = new Map<string, string>();
  for (const host of hosts) {
    const pattern = parseHostPattern(host);
    const at = source.locateKey([...path, 'hosts', host]);
    if (!pattern.ok) {
      diagnostics.error(at, `hosts: ${pattern.message}`);
      continue;
    }
    const twin = seen.get(pattern.value);
    if (twin !== undefined) diagnostics.error(at, `hosts: this is the same host as "${twin}"; keep one of the two`);
    seen.set(pattern.value, host);
  }
  if (hosts.length > 0 || 'service' in listener || source.damaged) return;
  const advice = 'add "service: NAME", or "hosts:" with services by the Host header';
  diagnostics.error(source.locate(path), `this listener passes requests to nothing; ${advice}`);
}
