/**
 * Which services a Perlbal selector leads to, as stekbal's `hosts` and `service` of a listener. Main thread of a command.
 *
 * Source: Perlbal 1.80, lib/Perlbal/Plugin/Vhosts.pm and Vpaths.pm.
 */

import { parseHostPattern } from '../addresses.ts';
import type { DiagnosticList } from '../diagnostics.ts';
import { show } from '../units.ts';
import type { PerlbalRoute, PerlbalService, Said } from './perlbal-model.ts';

/** Perlbal's names of services. */
export interface Routes {
  /** For requests that no host matches; null: they are answered with 404. */
  readonly rest: string | null;
  /** By stekbal's pattern. */
  readonly hosts: ReadonlyMap<string, string>;
}

/** Expressions that any path matches: a request's path begins with a slash. */
const EVERY_PATH = /^(?:\^?\/?(?:\.\*)?\$?|\.\+?|\^\.\+?)$/;

/** What can be said by hosts is taken; the rest is reported. `isTarget`: whether requests can be passed to a service. */
export function readRoutes(
  { settings, vhosts, vpaths }: PerlbalService,
  isTarget: (name: string) => boolean,
  diagnostics: DiagnosticList,
): Routes {
  const usable = ({ target, at }: PerlbalRoute): boolean => {
    if (isTarget(target)) return true;
    diagnostics.warning(at, `${show(target)} is no reverse_proxy service; the line is left out`);
    return false;
  };
  const hosts = readHosts(vhosts.filter(usable), diagnostics);
  const everything = hosts.get('*') ?? readPaths(vpaths.filter(usable), diagnostics);
  hosts.delete('*');
  return { rest: everything ?? readDefault(settings.get('default_service'), isTarget, diagnostics), hosts };
}

function readHosts(routes: readonly PerlbalRoute[], diagnostics: DiagnosticList): Map<string, string> {
  const hosts = new Map<string, string>();
  for (const { pattern, target, at } of routes) {
    const host = pattern === '*' ? null : parseHostPattern(pattern);
    if (host?.ok === false) diagnostics.warning(at, `the host ${show(pattern)} has no counterpart: ${host.message}`);
    else hosts.set(host === null ? '*' : host.value, target);
  }
  // in Perlbal a domain belongs to its wildcard
  for (const [pattern, target] of [...hosts]) {
    const domain = pattern.slice(2);
    if (pattern.startsWith('*.') && !hosts.has(domain)) hosts.set(domain, target);
  }
  return hosts;
}

/** The service that gets every path; expressions before and behind it are reported. */
function readPaths(routes: readonly PerlbalRoute[], diagnostics: DiagnosticList): string | null {
  let everything: string | null = null;
  for (const { pattern, target, at } of routes) {
    if (everything !== null) diagnostics.warning(at, 'a line before this one takes every path; it is left out');
    else if (EVERY_PATH.test(pattern)) everything = target;
    else {
      const advice = 'services are chosen by the Host header alone: let a backend tell the paths apart';
      diagnostics.warning(at, `the path ${show(pattern)} has no counterpart: ${advice}`);
    }
  }
  return everything;
}

function readDefault(
  said: Said | undefined,
  isTarget: (name: string) => boolean,
  diagnostics: DiagnosticList,
): string | null {
  if (said === undefined || isTarget(said.value)) return said?.value ?? null;
  diagnostics.warning(said.at, `${show(said.value)} is no reverse_proxy service; the line is left out`);
  return null;
}
