/**
 * From the schema's output, snake_case as in the file, to the Config that the program consumes.
 * Nothing can fail here: every check has passed. Main thread.
 */

import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseHostPattern } from './addresses.ts';
import type { LoadedCa, LoadedTls } from './check-certificates.ts';
import { absoluteAddress } from './check-listeners.ts';
import type {
  AffinityConfig,
  CanaryConfig,
  Config,
  HealthCheckConfig,
  LimitsConfig,
  ListenerConfig,
  PoolConfig,
  ServiceConfig,
  StekShareConfig,
  TicketKeysConfig,
  TlsConfig,
} from './config.ts';
import { resolvePath } from './files.ts';
import type { RawConfig } from './schema.ts';
import type { RawHealthCheck } from './schema-health.ts';
import { CONTEXT_BYTES_MAX } from './schema-tls.ts';
import type { YamlSource } from './source.ts';

type RawListener = RawConfig['listeners'][number];
type RawService = RawConfig['services'][string];

const WORKERS_MAX = 256;

/** What was read from the files that the configuration names. */
export interface NamedParts {
  /** By listener. */
  tls: readonly (LoadedTls | null)[];
  stekShare: StekShareConfig | null;
  ticketKeys: TicketKeysConfig | null;
}

/** Fills in what depends on the machine and its environment, and makes paths absolute. */
export function resolveConfig(source: YamlSource, raw: RawConfig, parts: NamedParts): Config {
  const { admin } = raw;
  return {
    file: source.file,
    workers: raw.workers === 'auto' ? Math.min(availableParallelism(), WORKERS_MAX) : raw.workers,
    drainTimeoutMs: raw.drain_timeout,
    workerHangTimeoutMs: raw.worker_hang_timeout,
    stateDir: raw.state_dir === null ? runtimeDirectory() : resolvePath(source, raw.state_dir),
    sessionIdContext: raw.session_id_context,
    logLevel: raw.log_level,
    accessLog: raw.access_log === null ? null : resolvePath(source, raw.access_log),
    limits: resolveLimits(raw.limits),
    listeners: raw.listeners.map((_, index) => resolveListener(source, raw, index, parts.tls[index] ?? null)),
    pools: Object.entries(raw.pools).map(([name, pool]) => resolvePool(name, pool)),
    services: Object.entries(raw.services).map(([name, service]) => resolveService(name, service)),
    stekShare: parts.stekShare,
    ticketKeys: parts.ticketKeys,
    canary: raw.canary === undefined ? null : resolveCanary(raw.canary),
    admin:
      admin === undefined
        ? null
        : {
            address: absoluteAddress(source, admin.address),
            tokenFile: admin.token_file === null ? null : resolvePath(source, admin.token_file),
          },
  };
}

/** systemd sets RUNTIME_DIRECTORY, with colons between when the unit has several: systemd.exec(5). */
function runtimeDirectory(): string | null {
  return process.env.RUNTIME_DIRECTORY?.split(':')[0] || null;
}

function resolveLimits(raw: RawConfig['limits']): LimitsConfig {
  return {
    headBytesMax: raw.max_head_size,
    headersMax: raw.max_headers,
    // A written value is at most max_head_size (checkLimits); the default yields.
    targetBytesMax: Math.min(raw.max_target_size, raw.max_head_size),
    headerTimeoutMs: raw.header_timeout,
    connectionsMax: raw.max_connections,
    connectionsPerThreadMax: raw.max_connections_per_thread,
    connectionsPerAddressMax: raw.max_connections_per_address,
    handshakesMax: raw.max_handshakes,
    requestsPerConnectionMax: raw.max_requests_per_connection,
  };
}

function resolveListener(
  source: YamlSource,
  config: RawConfig,
  index: number,
  loaded: LoadedTls | null,
): ListenerConfig {
  const raw = config.listeners[index] as RawListener;
  return {
    address: absoluteAddress(source, raw.address),
    service: raw.service,
    hosts: Object.entries(raw.hosts).map(([host, service]) => {
      const pattern = parseHostPattern(host);
      return { pattern: pattern.ok ? pattern.value : host, service };
    }),
    tls: raw.tls === undefined || loaded === null ? null : resolveTls(raw.tls, loaded, config.session_id_context),
    path: source.locate(['listeners', index]),
  };
}

function resolveTls(raw: NonNullable<RawListener['tls']>, loaded: LoadedTls, globalContext: string): TlsConfig {
  const { clientCa } = loaded;
  const context = raw.session_id_context ?? globalContext;
  return {
    certificates: loaded.certificates.filter((certificate) => certificate !== null),
    minVersion: raw.min_version,
    ticketLifetimeMs: raw.ticket_lifetime,
    handshakeTimeoutMs: raw.handshake_timeout,
    clientCa: clientCa && { file: clientCa.file, pem: clientCa.pem },
    sessionIdContext: clientCa === null ? context : fencedContext(context, clientCa),
  };
}

/**
 * A session of a client that showed a certificate must resume only where the same CAs are trusted (CVE-2025-23419). Made of
 * nothing else, so that the same listener on another machine has the same one.
 */
function fencedContext(context: string, { fingerprints }: LoadedCa): string {
  return createHash('sha256')
    .update([context, ...fingerprints].join('\0'))
    .digest('hex')
    .slice(0, CONTEXT_BYTES_MAX);
}

function resolveCanary(raw: NonNullable<RawConfig['canary']>): CanaryConfig {
  return { targets: raw.targets, intervalMs: raw.interval, serverNames: raw.server_names };
}

function resolvePool(name: string, raw: RawConfig['pools'][string]): PoolConfig {
  const nodes = (raw.nodes ?? []).map(({ address, weight, drain }) => ({ ...address, weight, drain }));
  const healthCheck = raw.health_check === undefined ? null : resolveHealthCheck(raw.health_check);
  return { name, nodes, healthCheck, pipelining: raw.pipelining };
}

function resolveHealthCheck(raw: RawHealthCheck): HealthCheckConfig {
  const { method, path, host, expected_status: expectedStatus } = raw;
  return {
    http: raw.type === 'tcp' ? null : { method, path, host, expectedStatus },
    port: raw.port,
    intervalMs: raw.interval,
    jitter: raw.jitter,
    // A written value is at most interval (checkHealthChecks); the default yields.
    timeoutMs: Math.min(raw.timeout, raw.interval),
    rise: raw.rise,
    fall: raw.fall,
  };
}

function resolveService(name: string, raw: RawService): ServiceConfig {
  return {
    name,
    role: raw.role,
    pool: raw.pool,
    balance: raw.balance,
    persistClient: raw.persist_client,
    persistClientIdleTimeoutMs: raw.persist_client_idle_timeout,
    persistBackend: raw.persist_backend,
    backendPersistCache: raw.backend_persist_cache,
    backendIdleTimeoutMs: raw.backend_idle_timeout,
    verifyBackend: raw.verify_backend,
    verifyBackendPath: raw.verify_backend_path,
    connectTimeoutMs: raw.connect_timeout,
    responseTimeoutMs: raw.response_timeout,
    bodyTimeoutMs: raw.body_timeout,
    bodyRateMin: raw.min_body_rate,
    tunnelTimeoutMs: raw.tunnel_timeout,
    retries: raw.retries,
    maxFails: raw.max_fails,
    failTimeoutMs: raw.fail_timeout,
    via: raw.via,
    affinity: raw.affinity ? resolveAffinity(raw) : null,
  };
}

function resolveAffinity(raw: RawService): AffinityConfig {
  const maxAgeMs = raw.affinity_cookie_max_age;
  return {
    cookieName: raw.affinity_cookie_header,
    useSalt: raw.affinity_use_salt,
    salt: raw.affinity_use_salt ? raw.affinity_salt : null,
    useDomain: raw.affinity_use_domain,
    cookie: {
      httpOnly: raw.affinity_cookie_http_only,
      secure: raw.affinity_cookie_secure,
      sameSite: raw.affinity_cookie_same_site,
      maxAgeS: maxAgeMs === null ? null : Math.floor(maxAgeMs / 1000),
      domain: raw.affinity_cookie_domain,
      partitioned: raw.affinity_cookie_partitioned,
    },
  };
}
