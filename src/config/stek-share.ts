/**
 * Reads the stek_share section: in place, or from a file of Traffic Server's; and the server list that it names.
 * Main thread.
 */

import type { z } from 'zod';
import { SCHEDULED_KEYS_MAX } from '../stek/key-ring.ts';
import { joinHostPort, type StekServer, type StekShareConfig } from './config.ts';
import type { DiagnosticList } from './diagnostics.ts';
import { checkFile, resolvePath } from './files.ts';
import { reportIssues } from './issues.ts';
import { serverListSchema, stekShareSchema, TIMING_DEFAULTS } from './schema-stek-share.ts';
import { TICKET_LIFETIME_DEFAULT, TICKET_LIFETIME_RANGE } from './schema-tls.ts';
import { EMPTY } from './schema-units.ts';
import { asList, asMap, type KeyPath, readYamlSource, type YamlMap, type YamlSource } from './source.ts';
import { formatDuration, parseDuration, parseInteger, show } from './units.ts';

type RawStekShare = z.output<typeof stekShareSchema>;
type RawServer = z.output<typeof serverListSchema>[number];

/** The options' map and where it stands. */
interface Place {
  source: YamlSource;
  base: KeyPath;
  keys: YamlMap;
}

const FILE_KEYS = ['root_cert_file', 'server_cert_file', 'server_key_file'];
const ANY_INTEGER = { min: 0, max: Number.MAX_SAFE_INTEGER };

/** Reads and checks the section, everything at once; null when it is left out or faulty. */
export function readStekShare(main: YamlSource, diagnostics: DiagnosticList): StekShareConfig | null {
  const raw = asMap(main.value)?.stek_share;
  if (raw === undefined) return null;
  const place = openPlace(main, raw, diagnostics);
  if (place === null) return null;
  const { source, base, keys } = place;
  const result = stekShareSchema.safeParse(keys);
  if (!result.success) reportIssues(result.error.issues, { source, base, schema: stekShareSchema }, diagnostics);
  checkTiming(place, diagnostics);
  checkKeyCount(place, main, diagnostics);
  checkSubject(place, diagnostics);
  for (const key of FILE_KEYS) checkFile(source, [...base, key], keys[key], diagnostics);
  if ('asio_thread_pool_size' in keys) {
    const message = 'asio_thread_pool_size is accepted, and has no effect here; it may stay';
    diagnostics.warning(source.locateKey([...base, 'asio_thread_pool_size']), message);
  }
  const servers = readServers(place, diagnostics);
  return result.success && servers !== null ? resolveStekShare(source, result.data, servers) : null;
}

function openPlace(main: YamlSource, raw: unknown, diagnostics: DiagnosticList): Place | null {
  const at = main.locate(['stek_share']);
  const keys = asMap(raw);
  if (keys !== null) return { source: main, base: ['stek_share'], keys };
  if (typeof raw !== 'string' || raw === '') {
    const message =
      raw === null || raw === '' ? EMPTY : `${show(raw)} is neither a map of options nor a path; write one`;
    diagnostics.error(at, `stek_share: ${message}`);
    return null;
  }
  const source = openNamed(main, ['stek_share'], raw, diagnostics);
  const options = asMap(source?.value);
  if (source === null || options !== null)
    return options === null ? null : { source: source!, base: [], keys: options };
  diagnostics.error(
    source.locate([]),
    'the options of stek_share are wanted here; write a map: one "key: value" a line',
  );
  return null;
}

/** A file that another one names: a missing one is reported where it is named, its own faults where they are. */
function openNamed(from: YamlSource, path: KeyPath, raw: string, diagnostics: DiagnosticList): YamlSource | null {
  const { length } = diagnostics;
  checkFile(from, path, raw, diagnostics);
  return diagnostics.length > length ? null : readYamlSource(resolvePath(from, raw), diagnostics);
}

/** heart_beat_interval < election_timeout_lower_bound < election_timeout_upper_bound, with the defaults filled in. */
function checkTiming({ source, base, keys }: Place, diagnostics: DiagnosticList): void {
  const names = Object.keys(TIMING_DEFAULTS) as (keyof typeof TIMING_DEFAULTS)[];
  const values = names.map((name) => parseInteger(keys[name] ?? TIMING_DEFAULTS[name], ANY_INTEGER));
  for (const [index, name] of names.slice(0, -1).entries()) {
    const [low, high] = [values[index], values[index + 1]];
    const next = names[index + 1]!;
    if (!low?.ok || !high?.ok || low.value < high.value) continue;
    const blamed = name in keys ? name : next;
    const advice = blamed === name ? `write less than ${high.value}` : `write more than ${low.value}`;
    diagnostics.error(
      source.locate([...base, blamed]),
      `${name} (${low.value} ms) must be less than ${next} (${high.value} ms); ${advice}`,
    );
  }
}

/** A key stays in the ring until the last ticket made with it is too old to be used. */
function checkKeyCount({ source, base, keys }: Place, main: YamlSource, diagnostics: DiagnosticList): void {
  const interval = parseInteger(keys.key_update_interval, ANY_INTEGER);
  const lifetimeMs = longestTicketLifetimeMs(main);
  if (!interval.ok || interval.value === 0 || lifetimeMs === null) return;
  const count = Math.ceil(lifetimeMs / (interval.value * 1000));
  if (count <= SCHEDULED_KEYS_MAX) return;
  const leastS = Math.ceil(lifetimeMs / 1000 / SCHEDULED_KEYS_MAX);
  const what = `tickets that last ${formatDuration(lifetimeMs)} take ${count} keys, and ${SCHEDULED_KEYS_MAX} can be kept`;
  diagnostics.error(
    source.locate([...base, 'key_update_interval']),
    `key_update_interval: ${what}; write at least ${leastS} seconds, or a shorter ticket_lifetime`,
  );
}

/** Of all listeners; null where none speaks TLS. What is not a duration counts for nothing: the schema reports it. */
function longestTicketLifetimeMs(main: YamlSource): number | null {
  const lifetimesMs = asList(asMap(main.value)?.listeners).flatMap((listener) => {
    const tls = asMap(asMap(listener)?.tls);
    const lifetime = tls && parseDuration(tls.ticket_lifetime ?? TICKET_LIFETIME_DEFAULT, TICKET_LIFETIME_RANGE);
    return lifetime?.ok ? [lifetime.value] : [];
  });
  return lifetimesMs.length === 0 ? null : Math.max(...lifetimesMs);
}

/** It is compared with OpenSSL's one-line form of a subject, which begins with a slash. */
function checkSubject({ source, base, keys }: Place, diagnostics: DiagnosticList): void {
  const subject = keys.cert_verify_str;
  if (typeof subject !== 'string' || subject === '' || subject.startsWith('/')) return;
  const advice = 'write it as openssl x509 -noout -subject -nameopt compat prints it, such as /C=US/CN=localhost';
  diagnostics.error(
    source.locate([...base, 'cert_verify_str']),
    `cert_verify_str: no certificate's subject can be ${show(subject)}; ${advice}`,
  );
}

function readServers(place: Place, diagnostics: DiagnosticList): StekServer[] | null {
  const raw = place.keys.server_list_file;
  if (typeof raw !== 'string' || raw === '') return null;
  const source = openNamed(place.source, [...place.base, 'server_list_file'], raw, diagnostics);
  if (source === null) return null;
  const result = serverListSchema.safeParse(source.value);
  if (!result.success) {
    reportIssues(result.error.issues, { source, base: [], schema: serverListSchema }, diagnostics);
    return null;
  }
  const servers = result.data.map(resolveServer);
  checkServers(place, source, servers, diagnostics);
  return servers;
}

function checkServers(place: Place, list: YamlSource, servers: StekServer[], diagnostics: DiagnosticList): void {
  const ids = new Map<number, number>();
  const endpoints = new Map<string, number>();
  for (const [index, { serverId, address, port }] of servers.entries()) {
    const endpoint = joinHostPort(address, port);
    const lineOf = (first: number) => list.locate([first]).line;
    const twin = ids.get(serverId);
    const neighbour = endpoints.get(endpoint);
    if (twin !== undefined) {
      const message = `server_id ${serverId} stands on line ${lineOf(twin)} already; give each machine its own`;
      diagnostics.error(list.locate([index, 'server_id']), message);
    }
    if (neighbour !== undefined) {
      const message = `${endpoint} stands on line ${lineOf(neighbour)} already; give each machine its own`;
      diagnostics.error(list.locate([index, 'address']), message);
    }
    ids.set(serverId, index);
    endpoints.set(endpoint, index);
  }
  checkSelf(place, list, servers, diagnostics);
}

/** The group is formed from the list, so that a machine that is not in it can never join. */
function checkSelf(
  { source, base, keys }: Place,
  list: YamlSource,
  servers: StekServer[],
  diagnostics: DiagnosticList,
) {
  const own = parseInteger(keys.server_id, ANY_INTEGER);
  if (!own.ok) return;
  const at = source.locate([...base, 'server_id']);
  const listed = servers.find((server) => server.serverId === own.value);
  if (listed === undefined) {
    diagnostics.error(at, `server_id ${own.value} is not in ${list.file}; add this machine to the list`);
  } else if (parseInteger(keys.port, ANY_INTEGER).ok && listed.port !== Number(keys.port)) {
    const message = `${list.file} gives server_id ${own.value} port ${listed.port}; write the same port in both`;
    diagnostics.error(source.locate([...base, 'port']), message);
  }
}

function resolveServer(raw: RawServer): StekServer {
  return { serverId: raw.server_id, address: raw.address, port: raw.port };
}

function resolveStekShare(source: YamlSource, raw: RawStekShare, servers: StekServer[]): StekShareConfig {
  return {
    serverId: raw.server_id,
    address: raw.address,
    port: raw.port,
    asioThreadPoolSize: raw.asio_thread_pool_size,
    heartBeatIntervalMs: raw.heart_beat_interval,
    electionTimeoutLowerBoundMs: raw.election_timeout_lower_bound,
    electionTimeoutUpperBoundMs: raw.election_timeout_upper_bound,
    reservedLogItems: raw.reserved_log_items,
    snapshotDistance: raw.snapshot_distance,
    clientReqTimeoutMs: raw.client_req_timeout,
    keyUpdateIntervalMs: raw.key_update_interval * 1000,
    serverListFile: resolvePath(source, raw.server_list_file),
    servers,
    rootCertFile: resolvePath(source, raw.root_cert_file),
    serverCertFile: resolvePath(source, raw.server_cert_file),
    serverKeyFile: resolvePath(source, raw.server_key_file),
    certVerifyStr: raw.cert_verify_str,
  };
}
