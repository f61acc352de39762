/**
 * A Perlbal configuration as stekbal's. Main thread of a command.
 */

import type { DiagnosticList } from '../diagnostics.ts';
import { show } from '../units.ts';
import type { ConvertInput } from './input.ts';
import { MISSING_PLUGINS, MISSING_ROLES, READ_PLUGINS } from './perlbal-advice.ts';
import { affinityEntries, checkAffinity } from './perlbal-affinity.ts';
import { Listeners, originOf } from './perlbal-listeners.ts';
import { type Perlbal, type PerlbalNode, type PerlbalPool, type PerlbalService, roleOf } from './perlbal-model.ts';
import { Names } from './perlbal-names.ts';
import { type Routes, readRoutes } from './perlbal-routes.ts';
import { proxyEntries, reportClientSettings, reportMissing } from './perlbal-settings.ts';
import type { Entry, Item, Section } from './yaml-text.ts';

/** What the parts of one conversion share. */
interface Writing {
  readonly perlbal: Perlbal;
  readonly diagnostics: DiagnosticList;
  readonly pools: Names;
  readonly services: Names;
  readonly listeners: Listeners;
  /** By the name of a reverse_proxy service: the selector in front of it that listens, null where it listens itself. */
  readonly used: Map<string, PerlbalService | null>;
}

/** The sections of the file. Everything that is not in them was reported. */
export function writePerlbal(perlbal: Perlbal, input: ConvertInput, diagnostics: DiagnosticList): Section[] {
  const listeners = new Listeners(input.folder, diagnostics);
  const writing: Writing = {
    perlbal,
    diagnostics,
    pools: new Names(),
    services: new Names(),
    listeners,
    used: new Map(),
  };
  checkAffinity(perlbal.affinity, diagnostics);
  nameAll(writing);
  for (const service of perlbal.services.values()) listen(writing, service);
  const services = [...perlbal.services.values()].flatMap((service) => serviceEntry(writing, service));
  const pools = [...perlbal.pools.values()].map((pool) => poolEntry(writing, pool));
  if (listeners.items.length === 0) {
    const advice = 'nothing listens; write listeners into the result, or enable a reverse_proxy service that listens';
    diagnostics.warning({ file: input.name, line: 1, column: 1 }, advice);
  }
  return [
    { above: introduction(input.name) },
    { key: 'listeners', value: listeners.items },
    ...(pools.length === 0 ? [] : [{ key: 'pools', value: pools }]),
    ...(services.length === 0 ? [] : [{ key: 'services', value: services }]),
    ...(listeners.admin === null ? [] : [listeners.admin]),
  ];
}

function introduction(name: string): string[] {
  return [
    `Made by stekbal convert from a Perlbal configuration, ${name}`,
    'Check it: stekbal check -c THIS_FILE',
    '',
    'Not as in Perlbal, whatever the file says: HTTP/1.1 on both sides; X-Forwarded-For is appended to, where Perlbal',
    'replaces what an untrusted client sends; the affinity cookie has HttpOnly, and Secure on TLS listeners.',
  ];
}

function nameAll({ perlbal, diagnostics, pools, services }: Writing): void {
  for (const { name, at } of perlbal.pools.values()) pools.give(name, at, diagnostics);
  for (const service of perlbal.services.values()) {
    if (roleOf(service) === 'reverse_proxy') services.give(service.name, service.at, diagnostics);
  }
}

/** Makes the listener of a service that is enabled, and notes who is reached by it. */
function listen(writing: Writing, service: PerlbalService): void {
  const { diagnostics, listeners, used } = writing;
  const role = roleOf(service);
  if (role === 'management') {
    if (service.isEnabled) listeners.addAdmin(service);
    else leaveOut(service, 'it is not enabled', diagnostics);
  } else if (role === 'selector') {
    if (isListening(service)) listenSelector(writing, service);
    else leaveOut(service, 'it does not listen, or is not enabled', diagnostics);
  } else if (role !== 'reverse_proxy') {
    const unknown = role === '' ? 'it has no role' : `there is no role ${show(role)}`;
    leaveOut(service, MISSING_ROLES.get(role) ?? unknown, diagnostics);
  } else if (isListening(service)) {
    const isAdded = listeners.add(service, { rest: writing.services.of(service.name) ?? null, hosts: new Map() });
    if (isAdded) used.set(service.name, null);
  }
}

function listenSelector({ perlbal, services, diagnostics, listeners, used }: Writing, selector: PerlbalService): void {
  const targetOf = (name: string) => perlbal.services.get(name) ?? perlbal.services.get(name.toLowerCase());
  const isTarget = (name: string) => {
    const target = targetOf(name);
    return target !== undefined && roleOf(target) === 'reverse_proxy';
  };
  const routes = readRoutes(selector, isTarget, diagnostics);
  const targets = [...routes.hosts.values(), ...(routes.rest === null ? [] : [routes.rest])];
  reportPlugins(selector, perlbal, diagnostics);
  reportMissing(selector, diagnostics);
  if (targets.length === 0) {
    leaveOut(selector, 'it leads to no service', diagnostics);
    return;
  }
  const named = (name: string) => services.of(name) as string;
  const hosts = new Map([...routes.hosts].map(([host, name]) => [host, named(name)]));
  const own: Routes = { rest: routes.rest === null ? null : named(routes.rest), hosts };
  if (!listeners.add(selector, own)) return;
  for (const name of targets) {
    const target = targetOf(name) as PerlbalService;
    if (!used.has(target.name)) used.set(target.name, isListening(target) ? null : selector);
    reportClientSettings(target, selector, used.get(target.name) ?? target, diagnostics);
  }
}

function isListening({ isEnabled, settings }: PerlbalService): boolean {
  return isEnabled && settings.has('listen');
}

function leaveOut(service: PerlbalService, why: string, diagnostics: DiagnosticList): void {
  const { at, name, lastLine } = service;
  const lines = lastLine > at.line ? ` with its lines to ${lastLine}` : '';
  diagnostics.warning(at, `the service ${show(name)} is left out${lines}: ${why}`);
}

/** Nothing for what is no proxy, or is reached by nobody. */
function serviceEntry({ perlbal, services, pools, used, diagnostics }: Writing, service: PerlbalService): Entry[] {
  if (roleOf(service) !== 'reverse_proxy') return [];
  const selector = used.get(service.name);
  if (selector === undefined) {
    leaveOut(service, 'it is not enabled, or does not listen, and no selector that listens leads to it', diagnostics);
    return [];
  }
  const key = services.of(service.name) as string;
  const isSticky = reportPlugins(service, perlbal, diagnostics).includes('sessionaffinity');
  const entries: Entry[] = [
    { key: 'role', value: 'reverse_proxy' },
    { key: 'pool', value: poolOf(service, perlbal, pools, diagnostics) },
    ...proxyEntries(service, selector, diagnostics),
    ...(isSticky ? affinityEntries(perlbal.affinity) : []),
  ];
  reportMissing(service, diagnostics);
  return [{ key, value: entries, above: [originOf(service)] }];
}

/** The pool's name, of one that is made where there is none: an empty one answers with 503, and can be filled. */
function poolOf(service: PerlbalService, { pools: known }: Perlbal, names: Names, diagnostics: DiagnosticList): string {
  const said = service.settings.get('pool');
  const name = said === undefined ? undefined : names.of(said.value);
  if (name !== undefined) return name;
  const { value, at } = said ?? { value: `${service.name}_pool`, at: service.at };
  const what = said === undefined ? `the service ${show(service.name)} has no pool` : `there is no pool ${show(value)}`;
  diagnostics.warning(at, `${what}; an empty one is written: give it its nodes`);
  known.set(value, { name: value, at, nodes: new Map() });
  names.give(value, at, diagnostics);
  return names.of(value) as string;
}

/** The plugins in use, in lower case; those that have no counterpart, or were not loaded, are reported. */
function reportPlugins(
  { settings, name }: PerlbalService,
  { plugins }: Perlbal,
  diagnostics: DiagnosticList,
): string[] {
  const said = settings.get('plugins');
  if (said === undefined) return [];
  const named = said.value
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((plugin) => plugin !== '' && plugin !== 'none');
  const loaded = named.filter((plugin) => plugins.has(plugin));
  for (const plugin of named) {
    if (!plugins.has(plugin)) {
      diagnostics.warning(
        said.at,
        `the plugin ${show(plugin)} is not loaded, so that Perlbal does without it; LOAD is missing`,
      );
    } else if (!READ_PLUGINS.includes(plugin)) {
      const advice = MISSING_PLUGINS.get(plugin) ?? 'it is not known here';
      diagnostics.warning(said.at, `the service ${show(name)} goes without the plugin ${show(plugin)}: ${advice}`);
    }
  }
  return loaded;
}

function poolEntry({ pools }: Writing, { name, at, nodes }: PerlbalPool): Entry {
  const items = [...nodes.values()].map(nodeItem);
  const above = [`${at.file}:${at.line}: pool ${name}`];
  return { key: pools.of(name) as string, value: [{ key: 'nodes', value: items }], above };
}

function nodeItem({ address, weight }: PerlbalNode): Item {
  if (weight === 1) return { item: address };
  return {
    item: [
      { key: 'address', value: address },
      { key: 'weight', value: weight },
    ],
  };
}
