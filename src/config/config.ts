/**
 * The configuration as the rest of the program consumes it: resolved, typed, with every default filled in.
 * Made by load.ts on the main thread; plain data, so that it can be posted to the listener threads.
 *
 * Durations are whole milliseconds (`...Ms`) or seconds (`...S`), sizes are bytes, paths are absolute.
 */

import type { SourcePosition } from './diagnostics.ts';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error';
export type Balance = 'least_conn' | 'round_robin' | 'random';
export type SameSite = 'Strict' | 'Lax' | 'None';
export type TlsVersion = 'TLSv1.2' | 'TLSv1.3';

/** Of a node. */
export const WEIGHT_RANGE = { min: 1, max: 256 } as const;

/** One configuration file, whole. Every service named by a listener and every pool named by a service exists. */
export interface Config {
  /** Absolute path of the file this was read from. */
  file: string;
  /** Listener threads, 1..256; `auto` is already resolved. */
  workers: number;
  /** How long a drain may take before what is left is cut, 0..1 h. */
  drainTimeoutMs: number;
  /** A listener thread whose event loop stands still this long is replaced, 1 s..5 min. */
  workerHangTimeoutMs: number;
  /** Where Raft's log is kept; null: in memory only. Not created here. */
  stateDir: string | null;
  /** OpenSSL's session id context, 1..32 bytes; equal across a fleet. */
  sessionIdContext: string;
  logLevel: LogLevel;
  /** A JSON line a request is appended to this file; null: none. */
  accessLog: string | null;
  limits: LimitsConfig;
  /** At least one; no two on one address (port 0 aside). */
  listeners: ListenerConfig[];
  pools: PoolConfig[];
  services: ServiceConfig[];
  stekShare: StekShareConfig | null;
  admin: AdminConfig | null;
  ticketKeys: TicketKeysConfig | null;
  canary: CanaryConfig | null;
}

/** Bounds on what clients may send and hold. Invariant: targetBytesMax <= headBytesMax. */
export interface LimitsConfig {
  /** 1 KiB..60 KiB. */
  headBytesMax: number;
  /** 8..1024. */
  headersMax: number;
  /** 64 B..headBytesMax. */
  targetBytesMax: number;
  /** Time a client has to send a whole request head. */
  headerTimeoutMs: number;
  /** Client connections open at once. `auto`: what the process's limit on open files allows. */
  connectionsMax: number | 'auto';
  /** The same on one listener thread; 0: no limit of its own. */
  connectionsPerThreadMax: number;
  /** The same from one client address; 0: no limit. */
  connectionsPerAddressMax: number;
  /** TLS handshakes under way on one listener thread. */
  handshakesMax: number;
  /** 0: no limit. */
  requestsPerConnectionMax: number;
}

/** Where to listen. A tcp host carries no brackets; port 0 lets the kernel choose; `fd` is a systemd socket's name. */
export type ListenAddress =
  | { kind: 'tcp'; host: string; port: number }
  | { kind: 'unix'; path: string }
  | { kind: 'fd'; name: string };

/** Invariant: service !== null or hosts is not empty. */
export interface ListenerConfig {
  address: ListenAddress;
  /** The service for requests that no entry of `hosts` matches. */
  service: string | null;
  hosts: HostRule[];
  tls: TlsConfig | null;
  /** Where this listener stands in the file, for messages. */
  path: SourcePosition;
}

/** One entry of `hosts`. */
export interface HostRule {
  /** Lower case, without port: an exact name, or `*.suffix`. Unique within a listener. */
  pattern: string;
  service: string;
}

export interface TlsConfig {
  /** At least one; the first is for clients whose SNI matches none. */
  certificates: CertificateConfig[];
  minVersion: TlsVersion;
  /** 1 s..7 d (RFC 8446, section 4.6.1). */
  ticketLifetimeMs: number;
  handshakeTimeoutMs: number;
  /** Clients must show a certificate that one of these CAs signed; null: they are not asked for one. */
  clientCa: { file: string; pem: string } | null;
  /**
   * 1..32 bytes. The file's own, or where a client_ca_file is given one that is made of it and the CAs, so that no
   * session crosses from listeners that trust other clients.
   */
  sessionIdContext: string;
}

/** A certificate with its key, read and checked. */
export interface CertificateConfig {
  certFile: string;
  keyFile: string;
  /** The chain, PEM, the server's own certificate first. */
  cert: string;
  /** PEM. A secret. */
  key: string;
  /** The DNS names of the certificate, lower case; maybe none. */
  names: string[];
  /** `ec`, `rsa`, `ed25519`...: certificates of different types serve one name side by side. */
  keyType: string;
}

/** The ticket keys of a fleet that is migrated: the first active key of a new cluster. */
export interface TicketKeysConfig {
  importFile: string;
  /** 48 bytes: name, hmac, aes, in stekbal's order whatever the file's format. A secret. */
  importKey: Uint8Array;
}

/** Resumption tried from edge to edge while they serve. */
export interface CanaryConfig {
  /** TLS listeners of the fleet, at least two. */
  targets: { host: string; port: number }[];
  /** 1 s..1 d. */
  intervalMs: number;
  /** SNI names to try; empty: none is sent. */
  serverNames: string[];
}

export interface PoolConfig {
  name: string;
  /** May be empty: nodes can be added while running. */
  nodes: NodeConfig[];
  /** null: nodes are not checked. */
  healthCheck: HealthCheckConfig | null;
  /** Requests that may await their answers on one backend connection of a listener thread, 1..256; 1: no pipelining. */
  pipelining: number;
}

/** Invariant: timeoutMs <= intervalMs. */
export interface HealthCheckConfig {
  /** null: a TCP connection will do. */
  http: HttpCheckConfig | null;
  /** 1..65535; null: the node's own. */
  port: number | null;
  /** From the beginning of one check to that of the next, at most. 100 ms..1 h. */
  intervalMs: number;
  /** How much shorter it may be, at random, as a part of it: 0..0.5. */
  jitter: number;
  /** For the whole check. */
  timeoutMs: number;
  /** Checks in a row that must pass to bring a node back, 1..100. */
  rise: number;
  /** Checks in a row that must fail to put it out, 1..100. */
  fall: number;
}

export interface HttpCheckConfig {
  method: 'GET' | 'HEAD' | 'OPTIONS';
  /** Origin form, with a query maybe. */
  path: string;
  /** The Host header; null: the node's address. */
  host: string | null;
  /** At least one; inclusive. */
  expectedStatus: StatusRange[];
}

/** 200 <= from <= to <= 599. */
export interface StatusRange {
  from: number;
  to: number;
}

export interface NodeConfig {
  /** Canonical `host:port`, unique within its pool: the text that is hashed for affinity. IPv6 as `[::1]:80`. */
  address: string;
  /** Without brackets. */
  host: string;
  /** 1..65535. */
  port: number;
  /** Within WEIGHT_RANGE. */
  weight: number;
  /** Keeps its sticky clients and gets no new ones. */
  drain: boolean;
}

export interface ServiceConfig {
  name: string;
  role: 'reverse_proxy';
  pool: string;
  balance: Balance;
  persistClient: boolean;
  persistClientIdleTimeoutMs: number;
  persistBackend: boolean;
  /** Idle backend connections kept per node and thread, 0..4096. */
  backendPersistCache: number;
  backendIdleTimeoutMs: number;
  verifyBackend: boolean;
  /** `*` or an origin-form path. */
  verifyBackendPath: string;
  connectTimeoutMs: number;
  /** From the end of the request to the first byte of the answer. */
  responseTimeoutMs: number;
  /** Longest silence while a body moves. */
  bodyTimeoutMs: number;
  /** Bytes a second below which a client counts as silent; 0: none. */
  bodyRateMin: number;
  /** Longest silence in an upgraded connection. */
  tunnelTimeoutMs: number;
  /** Further nodes tried after the first, 0..10. */
  retries: number;
  /** Failures in a row after which a node is left out, 0..100; 0: never. */
  maxFails: number;
  /** How long it is left out before it is probed. */
  failTimeoutMs: number;
  /** Pseudonym for the Via header (RFC 9110, section 7.6.3); null: no Via is added. */
  via: string | null;
  affinity: AffinityConfig | null;
}

/** Invariant: salt === null unless useSalt. */
export interface AffinityConfig {
  /** An RFC 9110 token. */
  cookieName: string;
  useSalt: boolean;
  /** Null with useSalt: one random salt, agreed by the whole cluster. */
  salt: string | null;
  /** Choose by the Host header; the cookie is neither read nor set. */
  useDomain: boolean;
  cookie: CookieConfig;
}

export interface CookieConfig {
  httpOnly: boolean;
  /** `auto`: on TLS listeners. */
  secure: 'auto' | boolean;
  sameSite: SameSite | null;
  /** Whole seconds, at least 1; null: a cookie that ends with the browser. */
  maxAgeS: number | null;
  /** Without a leading dot. */
  domain: string | null;
  partitioned: boolean;
}

/**
 * Traffic Server's `stek_share` options.
 * Invariant: heartBeatIntervalMs < electionTimeoutLowerBoundMs < electionTimeoutUpperBoundMs; serverId is in servers.
 */
export interface StekShareConfig {
  /** 1..2147483647. */
  serverId: number;
  address: string;
  port: number;
  /** Read for compatibility; no effect. */
  asioThreadPoolSize: number;
  heartBeatIntervalMs: number;
  electionTimeoutLowerBoundMs: number;
  electionTimeoutUpperBoundMs: number;
  reservedLogItems: number;
  snapshotDistance: number;
  clientReqTimeoutMs: number;
  keyUpdateIntervalMs: number;
  serverListFile: string;
  /** What serverListFile holds; ids and endpoints are unique. */
  servers: StekServer[];
  rootCertFile: string;
  serverCertFile: string;
  serverKeyFile: string;
  /** Compared with a peer's certificate subject; empty: any certificate that the CA signed. */
  certVerifyStr: string;
}

export interface StekServer {
  serverId: number;
  address: string;
  port: number;
}

/** Invariant: tokenFile !== null unless the address is loopback, unix, or `fd`, which shows at the start where it is. */
export interface AdminConfig {
  address: ListenAddress;
  tokenFile: string | null;
}

/** An address as the configuration file writes it: `host:port`, `[v6]:port`, `unix:/path` or `fd:NAME`. */
export function formatListenAddress(address: ListenAddress): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  if (address.kind === 'fd') return `fd:${address.name}`;
  return joinHostPort(address.host, address.port);
}

/** `host:port`, with brackets around an IPv6 host. */
export function joinHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
