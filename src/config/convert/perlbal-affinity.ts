/**
 * The lines of the SessionAffinity plugin, and the keys they become. Its settings are the program's, not a service's: the
 * last line counts, for all services that use the plugin. Main thread of a command.
 *
 * Source: Perlbal::Plugin::SessionAffinity 0.110.
 */

import type { DiagnosticList } from '../diagnostics.ts';
import { serviceSchema } from '../schema-service.ts';
import { show } from '../units.ts';
import { quote, type Statement } from './perlbal-lines.ts';
import type { Perlbal, PerlbalAffinity, Said } from './perlbal-model.ts';
import { type Entry, yesNo } from './yaml-text.ts';

const KEYS: ReadonlyMap<string, keyof PerlbalAffinity> = new Map([
  ['affinity_cookie_header', 'cookie'],
  ['affinity_use_salt', 'useSalt'],
  ['affinity_salt', 'salt'],
  ['affinity_use_domain', 'useDomain'],
]);
const DYNAMIC = 'affinity_use_dynamic_cookie';

/** Whether the statement is one of the plugin's: it was taken, or reported. */
export function setAffinity(model: Perlbal, statement: Statement, diagnostics: DiagnosticList): boolean {
  const { command, at, text } = statement;
  if (!command.startsWith('affinity_')) return false;
  const key = KEYS.get(command);
  const value = /^\w+ ?= ?(.+)$/.exec(text)?.[1];
  if (value === undefined) diagnostics.warning(at, `${quote(statement)} cannot be read; ${command} = VALUE is wanted`);
  else if (key !== undefined) {
    model.affinity[key] = { value, at };
    reportLoad(model, statement, diagnostics);
  } else if (command === DYNAMIC) {
    if (!isOn({ value, at })) return true;
    diagnostics.warning(
      at,
      'a cookie name for each domain has no counterpart: clients are placed anew once, by one name',
    );
  } else diagnostics.warning(at, `${quote(statement)} is no setting of SessionAffinity 0.110; it is left out`);
  return true;
}

function reportLoad({ plugins }: Perlbal, statement: Statement, diagnostics: DiagnosticList): void {
  if (plugins.has('sessionaffinity')) return;
  const what = `${quote(statement)} stands before LOAD SessionAffinity, where Perlbal does not know it`;
  diagnostics.warning(statement.at, `${what}; it is taken`);
}

/** The keys of a service that uses the plugin. */
export function affinityEntries({ cookie, useSalt, salt, useDomain }: PerlbalAffinity): Entry[] {
  const on: Entry = { key: 'affinity', value: 'yes' };
  // with it, the plugin's documentation says, no cookie is read or set
  if (useDomain !== null && isOn(useDomain)) return [on, { key: 'affinity_use_domain', value: 'yes' }];
  const entries = [on];
  if (cookie !== null) entries.push({ key: 'affinity_cookie_header', value: cookie.value });
  if (useSalt !== null)
    entries.push({ key: 'affinity_use_salt', value: yesNo(isOn(useSalt)), ...besideSalt(useSalt, salt) });
  if (salt !== null && useSalt !== null && isOn(useSalt)) entries.push({ key: 'affinity_salt', value: salt.value });
  return entries;
}

/** Reports what cannot be taken over, and takes it out. */
export function checkAffinity(affinity: PerlbalAffinity, diagnostics: DiagnosticList): void {
  for (const [key, field] of KEYS) {
    const said = affinity[field];
    if (said === null) continue;
    if (field === 'useSalt' || field === 'useDomain') checkFlag(key, said, diagnostics);
    else if (!serviceSchema.safeParse({ pool: 'any', [key]: said.value }).success) {
      affinity[field] = null;
      diagnostics.warning(
        said.at,
        `${key}: ${show(said.value)} cannot be used here; it is left out, and clients are placed anew once`,
      );
    }
  }
  const { salt, useSalt, useDomain } = affinity;
  if (salt !== null && (useSalt === null || !isOn(useSalt))) {
    diagnostics.warning(salt.at, 'the salt is not used, as affinity_use_salt is not on; it is left out');
  }
  if (useDomain === null || !isOn(useDomain)) return;
  for (const said of [affinity.cookie, salt, useSalt]) {
    if (said !== null)
      diagnostics.warning(said.at, 'it has no effect with affinity_use_domain, which sets no cookie; it is left out');
  }
}

/** Perl's `$value eq 'yes' || $value == 1`: "on" and "true" are the number 0. */
function isOn({ value }: Said): boolean {
  return value === 'yes' || Number.parseFloat(value) === 1;
}

function checkFlag(key: string, said: Said, diagnostics: DiagnosticList): void {
  if (['yes', 'no', '1', '0'].includes(said.value)) return;
  const meaning = yesNo(isOn(said));
  diagnostics.warning(
    said.at,
    `${key}: SessionAffinity reads ${show(said.value)} as ${meaning}, and so it is written; yes and no are its words`,
  );
}

function besideSalt(useSalt: Said, salt: Said | null): Pick<Entry, 'beside'> {
  return isOn(useSalt) && salt === null ? { beside: 'with a random salt, which all edges agree on' } : {};
}
