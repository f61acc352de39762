/**
 * A Perlbal service's settings as keys of stekbal's service. Main thread of a command.
 *
 * Where a default of Perlbal's is another than stekbal's it is written out, so that a site behaves as it did.
 */

import type { DiagnosticList } from '../diagnostics.ts';
import { serviceSchema } from '../schema-service.ts';
import { formatDuration, parseFlag, show } from '../units.ts';
import { MISSING_SETTINGS } from './perlbal-advice.ts';
import type { PerlbalService, Said } from './perlbal-model.ts';
import { type Entry, yesNo } from './yaml-text.ts';

/** Keys that are read elsewhere: by the reader, for listeners, or for the pool. */
const READ_ELSEWHERE = [
  'role',
  'listen',
  'pool',
  'plugins',
  'enable_ssl',
  'ssl_key_file',
  'ssl_cert_file',
  'default_service',
];
const TIMEOUT_KEYS = ['persist_client_timeout', 'persist_client_idle_timeout', 'idle_timeout'];
const TRANSLATED = [
  'persist_client',
  'persist_backend',
  'backend_persist_cache',
  'verify_backend',
  'verify_backend_path',
];
/** Said by nobody, done anyway. */
const DONE_ANYWAY = ['send_backend_proto'];
const TAKEN: ReadonlySet<string> = new Set([...READ_ELSEWHERE, ...TIMEOUT_KEYS, ...TRANSLATED, ...DONE_ANYWAY]);

const TIMEOUT_DEFAULT_S = 30;
const TIMEOUT_MAX_S = 86_400;
const CACHE_DEFAULT = 2;
const CACHE_MAX = 4096;
const PERLBAL_DEFAULT = "Perlbal's default";

/** A selector's clients go by its own settings of the connection, whatever the service behind it says. */
export function proxyEntries(
  service: PerlbalService,
  selector: PerlbalService | null,
  diagnostics: DiagnosticList,
): Entry[] {
  const settings = new Settings(service, diagnostics);
  const client = selector === null ? settings : new Settings(selector, diagnostics);
  const persistClient = client.flag('persist_client') ?? offByDefault('persist_client');
  const persistBackend = settings.flag('persist_backend') ?? offByDefault('persist_backend');
  const clientTimeout = client.seconds('persist_client_idle_timeout');
  const cache = settings.cache();
  const idle = settings.seconds('idle_timeout');
  return [
    { key: 'balance', value: 'random', beside: "Perlbal's only method; least_conn spreads the load better" },
    persistClient,
    ...(persistClient.value === 'yes' || clientTimeout.isSaid ? [clientTimeout.entry] : []),
    persistBackend,
    ...(persistBackend.value === 'yes' || cache.isSaid ? [cache.entry] : []),
    ...definedOf(settings.flag('verify_backend'), settings.text('verify_backend_path')),
    ...['response_timeout', 'body_timeout'].map((key) => ({ ...idle.entry, key, beside: besideIdle(idle) })),
  ];
}

/**
 * One service has one set of keys for all its clients: says where those that come through `selector` are treated
 * otherwise now. `used` is whose settings of the connection are written.
 */
export function reportClientSettings(
  service: PerlbalService,
  selector: PerlbalService,
  used: PerlbalService,
  diagnostics: DiagnosticList,
): void {
  if (new Settings(selector, diagnostics).client() === new Settings(used, diagnostics).client()) return;
  const { settings, at } = selector;
  const said = settings.get('persist_client') ?? settings.get('persist_client_idle_timeout');
  const what = `clients of ${show(selector.name)} that go to ${show(service.name)} get persist_client and its timeout`;
  diagnostics.warning(said?.at ?? at, `${what} as they are set for ${show(used.name)}: a service has them once`);
}

/** Reports every setting that has no counterpart. */
export function reportMissing(service: PerlbalService, diagnostics: DiagnosticList): void {
  for (const [key, said] of service.settings) if (!isTaken(key)) reportSetting(key, said, diagnostics);
}

/** Whether a setting is read, and has no need of a warning for its own sake. */
export function isTaken(key: string): boolean {
  return TAKEN.has(key);
}

/** Says what to do instead of a setting that is not taken; nothing where its value asks for what is done anyway. */
export function reportSetting(key: string, { value, at }: Said, diagnostics: DiagnosticList): void {
  const missing = MISSING_SETTINGS.get(key);
  if (missing === undefined) {
    diagnostics.warning(at, `${show(key)} is no setting of Perlbal 1.80 that is known; it is left out`);
  } else if (missing.harmless?.includes(value.toLowerCase()) !== true) {
    diagnostics.warning(at, `${key} has no counterpart: ${missing.advice}`);
  }
}

/** Whether a flag is on; what is no flag is reported, and off. */
export function isOn(service: PerlbalService, key: string, diagnostics: DiagnosticList): boolean {
  return new Settings(service, diagnostics).flag(key)?.value === 'yes';
}

function offByDefault(key: string): Entry {
  return { key, value: 'no', beside: PERLBAL_DEFAULT };
}

/** A key with its value, and whether a line said so. */
interface Read {
  readonly entry: Entry;
  readonly isSaid: boolean;
}

/** Reads single settings; what cannot be read is reported, and as if it were not there. */
class Settings {
  readonly #said: Map<string, Said>;
  readonly #diagnostics: DiagnosticList;

  constructor({ settings }: PerlbalService, diagnostics: DiagnosticList) {
    this.#said = settings;
    this.#diagnostics = diagnostics;
  }

  /** Null where it is not set. */
  flag(key: string): Entry | null {
    const said = this.#said.get(key);
    if (said === undefined) return null;
    const flag = parseFlag(said.value);
    if (flag.ok) return { key, value: yesNo(flag.value) };
    this.#diagnostics.warning(said.at, `${key}: ${flag.message}; it is left out`);
    return null;
  }

  /** A key of stekbal's service under the same name; null where it is not set. */
  text(key: string): Entry | null {
    const said = this.#said.get(key);
    if (said === undefined) return null;
    const result = serviceSchema.safeParse({ pool: 'any', [key]: said.value });
    if (result.success) return { key, value: said.value };
    this.#diagnostics.warning(said.at, `${key}: ${result.error.issues[0]?.message}; it is left out`);
    return null;
  }

  /** A timeout in whole seconds; 0 is none, for which stekbal has a day. */
  seconds(key: string): Read {
    const said = this.#lastOf(key, 'persist_client_timeout');
    const number = said === null ? null : this.#integer(said, key);
    if (said === null || number === null) {
      const entry = { key, value: formatDuration(TIMEOUT_DEFAULT_S * 1000), beside: PERLBAL_DEFAULT };
      return { entry, isSaid: false };
    }
    const bounded = number === 0 ? TIMEOUT_MAX_S : Math.min(number, TIMEOUT_MAX_S);
    if (bounded !== number) {
      this.#diagnostics.warning(said.at, `${show(said.value)} seconds: a day is written, the longest time there is`);
    }
    return { entry: { key, value: formatDuration(bounded * 1000) }, isSaid: true };
  }

  cache(): Read {
    const key = 'backend_persist_cache';
    const said = this.#said.get(key) ?? null;
    const number = said === null ? null : this.#integer(said, key);
    const beside = "here for each node and thread (stekbal's default: 512)";
    if (said === null || number === null) {
      return { entry: { key, value: CACHE_DEFAULT, beside: `${PERLBAL_DEFAULT}; ${beside}` }, isSaid: false };
    }
    if (number > CACHE_MAX) this.#diagnostics.warning(said.at, `${key}: ${CACHE_MAX} is written, the most there is`);
    return { entry: { key, value: Math.min(number, CACHE_MAX), beside }, isSaid: true };
  }

  /** What says how client connections are kept, to be compared. */
  client(): string {
    const isKept = this.flag('persist_client')?.value === 'yes';
    return isKept ? String(this.seconds('persist_client_idle_timeout').entry.value) : 'no';
  }

  /** Of two keys that set the same, what was said last. */
  #lastOf(...keys: string[]): Said | null {
    let last: Said | null = null;
    // a map keeps the place of a key's first setting: lines are compared
    for (const key of keys) {
      const said = this.#said.get(key) ?? null;
      if (said !== null && (last === null || said.at.line > last.at.line)) last = said;
    }
    return last;
  }

  #integer({ value, at }: Said, key: string): number | null {
    if (/^\d{1,15}$/.test(value)) return Number(value);
    this.#diagnostics.warning(at, `${key}: ${show(value)} is not a whole number; it is left out`);
    return null;
  }
}

function definedOf(...entries: (Entry | null)[]): Entry[] {
  return entries.filter((entry) => entry !== null);
}

function besideIdle({ isSaid }: Read): string {
  return isSaid ? 'from idle_timeout' : `${PERLBAL_DEFAULT} of idle_timeout`;
}
