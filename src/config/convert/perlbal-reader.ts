/**
 * Runs a Perlbal configuration's commands, as Perlbal does at its start, on a model of what they change. Perlbal stops at
 * the first line it does not take; here such a line is reported and the next one read. Main thread of a command.
 *
 * Source: Perlbal 1.80, lib/Perlbal.pm (MANAGE_create, _use, _set, _default, _enable) and lib/Perlbal/Service.pm.
 */

import type { DiagnosticList } from '../diagnostics.ts';
import { show } from '../units.ts';
import type { ConvertInput } from './input.ts';
import { NamedFiles } from './named-files.ts';
import { MISSING_COMMANDS, MISSING_PLUGINS, MISSING_SERVER_KEYS, READ_PLUGINS } from './perlbal-advice.ts';
import { setAffinity } from './perlbal-affinity.ts';
import { IncludedFiles } from './perlbal-include.ts';
import { LINES_MAX, quote, readStatements, type Statement } from './perlbal-lines.ts';
import { type Perlbal, type PerlbalPool, type PerlbalService, roleOf, type Said } from './perlbal-model.ts';
import { editPool, readNodeFile } from './perlbal-nodes.ts';
import { isTaken, reportSetting } from './perlbal-settings.ts';

/** What SET and others mean that name nothing: the pool or service that was made or used last in this file. */
interface Context {
  last: string | null;
}

/** A reading in progress. */
interface Reading {
  readonly model: Perlbal;
  /** By key: for services that get their role from then on. */
  readonly defaults: Map<string, Said>;
  /** Everything that the text names is read through it. */
  readonly files: NamedFiles;
  readonly included: IncludedFiles;
  readonly folder: string;
  readonly diagnostics: DiagnosticList;
  /** In all files together. */
  linesLeft: number;
}

type Command = (reading: Reading, statement: Statement, context: Context) => void;

const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['create', create],
  ['use', use],
  ['pool', pool],
  ['set', set],
  ['default', setDefault],
  ['enable', enable],
  ['disable', enable],
  ['load', load],
  ['server', server],
  ['vhost', route],
  ['vpath', route],
  ['include', include],
]);

/** Keys that have no default, so that setting the role leaves them alone. */
const KEPT_BY_ROLE = ['role', 'listen', 'pool', 'plugins', 'docroot', 'trusted_upstream_proxies', 'default_service'];

/** Reads a whole configuration, and the files it includes. Null, with an error reported, where no line is a command. */
export function readPerlbal(input: ConvertInput, diagnostics: DiagnosticList): Perlbal | null {
  const affinity = { cookie: null, useSalt: null, salt: null, useDomain: null };
  const model: Perlbal = { pools: new Map(), services: new Map(), affinity, plugins: new Set() };
  const files = new NamedFiles();
  const reading: Reading = {
    model,
    defaults: new Map(),
    files,
    included: new IncludedFiles(input, files),
    folder: input.folder,
    diagnostics,
    linesLeft: LINES_MAX,
  };
  const commands = runFile(reading, input);
  if (commands > 0) return model;
  const at = { file: input.name, line: 1, column: 1 };
  diagnostics.error(at, 'this is no Perlbal configuration: no line of it is a command such as CREATE POOL or SET');
  return null;
}

/** The number of lines that are commands of Perlbal's. */
function runFile(reading: Reading, input: ConvertInput): number {
  const context: Context = { last: null };
  const lines = input.text.split('\n');
  reading.linesLeft -= lines.length;
  if (reading.linesLeft < 0) {
    const message = `there are more than ${LINES_MAX} lines, with those of included files; nothing is written`;
    reading.diagnostics.error({ file: input.name, line: 1, column: 1 }, message);
    return 0;
  }
  let commands = 0;
  for (const statement of readStatements(input.name, lines, reading.diagnostics)) {
    const command = COMMANDS.get(statement.command);
    const advice = MISSING_COMMANDS.get(statement.command);
    if (command !== undefined) command(reading, statement, context);
    else if (setAffinity(reading.model, statement, reading.diagnostics)) commands += 1;
    else if (advice !== undefined) warn(reading, statement, `${quote(statement)} has no counterpart: ${advice}`);
    else warn(reading, statement, `${quote(statement)} is not a command of Perlbal's that is known; it is left out`);
    if (command !== undefined || advice !== undefined) commands += 1;
    touch(reading, statement, context);
  }
  return commands;
}

function create(reading: Reading, statement: Statement, context: Context): void {
  const { pools, services } = reading.model;
  const [, what, name] = /^create (service|pool) (\S+)$/.exec(statement.text) ?? [];
  if (what === undefined || name === undefined) {
    context.last = null;
    misread(reading, statement, 'CREATE POOL NAME or CREATE SERVICE NAME');
    return;
  }
  context.last = name;
  const { at } = statement;
  const twin = pools.get(name) ?? services.get(name);
  if (twin !== undefined) {
    const where = `${twin.at.file}:${twin.at.line}`;
    warn(reading, statement, `${show(name)} is there already, from ${where}; what follows is added to it`);
  } else if (what === 'pool') pools.set(name, { name, at, nodes: new Map() });
  else
    services.set(name, { name, at, settings: new Map(), vhosts: [], vpaths: [], isEnabled: false, lastLine: at.line });
}

function use(reading: Reading, statement: Statement, context: Context): void {
  const name = /^use (\S+)$/.exec(statement.text)?.[1] ?? null;
  const isThere = name !== null && (reading.model.pools.has(name) || reading.model.services.has(name));
  context.last = isThere ? name : null;
  if (!isThere) warn(reading, statement, `${quote(statement)}: there is no such pool or service up to here`);
}

function pool(reading: Reading, statement: Statement, context: Context): void {
  const [, first = '', second, address] = /^pool (\S+)(?: (\S+))? (\S+)$/.exec(statement.text) ?? [];
  const words = second === undefined ? [first] : [first, second];
  const verb = words.find((word) => word === 'add' || word === 'remove');
  const name = words.length === 1 ? context.last : (words.find((word) => word !== verb) ?? null);
  if (verb === undefined || address === undefined || name === null) {
    misread(reading, statement, 'POOL NAME ADD IP:PORT');
    return;
  }
  const found = reading.model.pools.get(name);
  if (found === undefined) {
    warn(reading, statement, `there is no pool ${show(name)} up to here; the node is left out: add it to one by hand`);
  } else editPool(found, verb, address, statement, reading.diagnostics);
}

function set(reading: Reading, statement: Statement, context: Context): void {
  const [, named, key = '', value = ''] = /^set (?:([\w-]+)[. ])?([\w.]+) ?= ?(.+)$/.exec(statement.text) ?? [];
  if (key === '') {
    misread(reading, statement, 'SET [NAME] KEY = VALUE');
    return;
  }
  const name = named ?? context.last;
  if (name === null) {
    warn(
      reading,
      statement,
      `${quote(statement)} belongs to no service or pool: Perlbal does not take it (it may mean DEFAULT)`,
    );
    return;
  }
  const service = reading.model.services.get(name);
  const said = { value, at: statement.at };
  const target = service ?? reading.model.pools.get(name);
  if (target === undefined) warn(reading, statement, `there is no service or pool ${show(name)} up to here; left out`);
  else if (service === undefined) setPool(reading, target as PerlbalPool, key, said);
  else setService(reading, service, key, said);
}

function setService(reading: Reading, service: PerlbalService, key: string, said: Said): void {
  service.lastLine = Math.max(service.lastLine, said.at.line);
  if (key === 'nodefile' || key === 'balance_method') {
    setPool(reading, poolOf(reading, service, said), key, said);
    return;
  }
  if (key === 'role') applyRole(reading, service);
  service.settings.set(key, said);
}

/** Setting a role sets every key that has a default to it: DEFAULT's, or Perlbal's own. */
function applyRole({ defaults, diagnostics }: Reading, { settings }: PerlbalService): void {
  for (const [key, { at }] of settings) {
    if (KEPT_BY_ROLE.includes(key)) continue;
    settings.delete(key);
    diagnostics.warning(
      at,
      `${key} stands before the role, which sets it back to its default in Perlbal; it is left out: if it is wanted, write it into the result`,
    );
  }
  for (const [key, said] of defaults) settings.set(key, said);
}

/** As before there were pools in Perlbal: a service's nodes make a pool of its own. */
function poolOf({ model }: Reading, { name, settings }: PerlbalService, { at }: Said): PerlbalPool {
  const own = `${name}_pool`;
  const poolName = settings.get('pool')?.value ?? own;
  if (!settings.has('pool')) settings.set('pool', { value: own, at });
  const found = model.pools.get(poolName) ?? { name: poolName, at, nodes: new Map() };
  model.pools.set(poolName, found);
  return found;
}

function setPool(reading: Reading, target: PerlbalPool, key: string, said: Said): void {
  if (key === 'nodefile') readNodeFile(target, said, reading, reading.diagnostics);
  else if (key !== 'balance_method')
    reading.diagnostics.warning(said.at, `${key} is no setting of a pool; it is left out`);
  else if (said.value.toLowerCase() !== 'random') {
    reading.diagnostics.warning(
      said.at,
      `balance_method ${show(said.value)} is no method of Perlbal's; random is written`,
    );
  }
}

function setDefault(reading: Reading, statement: Statement): void {
  const [, key = '', value = ''] = /^default (\w+) ?= ?(.+)$/.exec(statement.text) ?? [];
  if (key === '') {
    misread(reading, statement, 'DEFAULT KEY = VALUE');
    return;
  }
  const said = { value, at: statement.at };
  if (isTaken(key)) reading.defaults.set(key, said);
  else reportSetting(key, said, reading.diagnostics);
}

function enable(reading: Reading, statement: Statement): void {
  const name = /^(?:enable|disable) (\S+)$/.exec(statement.text)?.[1] ?? '';
  const service = reading.model.services.get(name);
  if (service === undefined) warn(reading, statement, `${quote(statement)}: there is no such service up to here`);
  else service.isEnabled = statement.command === 'enable';
}

function load(reading: Reading, statement: Statement): void {
  const plugin = /^load (\w+)$/.exec(statement.text)?.[1];
  if (plugin === undefined) {
    misread(reading, statement, 'LOAD PLUGIN');
    return;
  }
  reading.model.plugins.add(plugin);
  if (READ_PLUGINS.includes(plugin)) return;
  const advice =
    MISSING_PLUGINS.get(plugin) ?? 'it is not known here: look at what it does, and do that at the backend';
  warn(reading, statement, `the plugin ${show(plugin)} has no counterpart: ${advice}`);
}

function server(reading: Reading, statement: Statement): void {
  const key = /^server (\w+)/.exec(statement.text)?.[1] ?? '';
  const advice = MISSING_SERVER_KEYS.get(key) ?? 'it is not known here; it is left out';
  warn(reading, statement, `${quote(statement)} has no counterpart: ${advice}`);
}

function route(reading: Reading, statement: Statement, context: Context): void {
  const { command, at, text } = statement;
  const [, named, pattern = '', target = ''] = /^\w+ (?:([\w-]+) )?(\S+?) ?= ?([\w-]+)$/.exec(text) ?? [];
  const service = reading.model.services.get(named ?? context.last ?? '');
  if (pattern === '') misread(reading, statement, `${command.toUpperCase()} [SERVICE] PATTERN = SERVICE`);
  else if (service === undefined || roleOf(service).toLowerCase() !== 'selector') {
    warn(reading, statement, `${quote(statement)} belongs to no service whose role is selector; it is left out`);
  } else if (command === 'vhost') service.vhosts.push({ pattern, target, at });
  else service.vpaths.push({ pattern, target, at });
}

function include(reading: Reading, statement: Statement): void {
  const patterns = /^include ?= ?(.+)$/.exec(statement.text)?.[1];
  if (patterns === undefined) misread(reading, statement, 'INCLUDE = FILE...');
  else {
    reading.included.follow(patterns, statement.at, reading.diagnostics, (input) => runFile(reading, input));
  }
}

/** Notes that a line of the file speaks of the service at hand. */
function touch({ model }: Reading, { at }: Statement, { last }: Context): void {
  const service = model.services.get(last ?? '');
  if (service?.at.file === at.file) service.lastLine = at.line;
}

function misread(reading: Reading, statement: Statement, form: string): void {
  warn(reading, statement, `${quote(statement)} cannot be read; ${form} is wanted`);
}

function warn({ diagnostics }: Reading, { at }: Statement, message: string): void {
  diagnostics.warning(at, message);
}
