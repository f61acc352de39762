/**
 * What passes between the main thread and a listener thread besides the boards: the task that starts the thread, and
 * the few messages that follow. Types alone; all of it is structured-cloneable.
 */

import type { MessagePort } from 'node:worker_threads';

/** The task of one listener thread, for as long as it lives. */
export interface ListenerTask {
  /** 0 <= thread < number of listener threads; also its row on the boards. */
  readonly thread: number;
  readonly port: MessagePort;
  readonly stats: SharedArrayBuffer;
  /** The route board of each entry of `settings.routes`, by index. */
  readonly boards: readonly SharedArrayBuffer[];
  /** The key board: the ring of ticket keys. */
  readonly keys: SharedArrayBuffer;
  readonly settings: ThreadSettings;
}

export interface ThreadSettings {
  readonly headBytesMax: number;
  readonly headersMax: number;
  readonly targetBytesMax: number;
  readonly headerTimeoutMs: number;
  readonly drainTimeoutMs: number;
  /** The access log's file; null: none. */
  readonly accessLog: string | null;
  readonly listeners: readonly ListenerSettings[];
  readonly services: readonly ServiceSettings[];
}

export type BindAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

export interface ListenerSettings {
  /** null: another thread serves this address (a unix socket has no SO_REUSEPORT). */
  readonly address: BindAddress | null;
  /** Index into services for a Host that `hosts` does not name; null: such a request is refused. */
  readonly service: number | null;
  readonly hosts: readonly { readonly pattern: string; readonly service: number }[];
  /** null: plain. */
  readonly tls: TlsSettings | null;
}

/** What a TLS listener shows and accepts. All of it can change while the listener is open. */
export interface TlsSettings {
  /** At least one; the first is for clients whose SNI matches none. */
  readonly certificates: readonly CertificateSettings[];
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** How long a session can be resumed, s. */
  readonly ticketLifetimeS: number;
  readonly handshakeTimeoutMs: number;
  /** CAs, PEM: a client must show a certificate that one of them signed. null: clients are not asked for one. */
  readonly clientCa: string | null;
  /**
   * OpenSSL's session id context, 1 to 32 bytes: the fence between trust domains. A session resumes only where it is the
   * same, so it is equal for this listener across the fleet, and differs between listeners that trust different clients.
   */
  readonly sessionIdContext: string;
}

export interface CertificateSettings {
  /** The chain, PEM, the server's own certificate first. */
  readonly cert: string;
  /** PEM. A secret. */
  readonly key: string;
  /** The DNS names it is for, lower case: exact, or `*.suffix` (RFC 9525 section 6.3). May be empty. */
  readonly names: readonly string[];
  /** Certificates of different types for one name serve side by side. */
  readonly keyType: string;
}

export interface ServiceSettings {
  readonly name: string;
  /** Index into the task's boards. */
  readonly route: number;
  readonly pool: string;
  readonly balance: 'least_conn' | 'round_robin' | 'random';
  readonly persistClient: boolean;
  readonly persistClientIdleTimeoutMs: number;
  readonly persistBackend: boolean;
  readonly backendPersistCache: number;
  readonly backendIdleTimeoutMs: number;
  readonly verifyBackend: boolean;
  readonly verifyBackendPath: string;
  readonly connectTimeoutMs: number;
  readonly responseTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly tunnelTimeoutMs: number;
  readonly retries: number;
  /** Failures in a row after which a node is left out; 0: never. */
  readonly maxFails: number;
  readonly failTimeoutMs: number;
  readonly via: string | null;
  readonly affinity: AffinitySettings | null;
}

export interface AffinitySettings {
  readonly cookieName: string;
  readonly useDomain: boolean;
  /** What follows "NAME=id" in Set-Cookie on a plain listener, and on a TLS one. */
  readonly attributesPlain: string;
  readonly attributesTls: string;
}

/** Main thread to listener thread. */
export type ToListener =
  /** Stop accepting, finish what is in flight, then end the task. */
  | { readonly type: 'drain' }
  /** Log files have been moved away: go over to new ones. */
  | { readonly type: 'reopen-logs' }
  /** Pool `index` has outgrown its board: read this one from now on. */
  | { readonly type: 'board'; readonly index: number; readonly buffer: SharedArrayBuffer }
  /** New connections are to be served with these: by the index of the listener, null where it is plain. */
  | { readonly type: 'tls'; readonly listeners: readonly (TlsSettings | null)[] };

/** Listener thread to main thread. */
export type FromListener =
  /** It accepts; the address of each listener, in order, with the port that the kernel chose where it was 0. */
  | { readonly type: 'listening'; readonly addresses: readonly (BindAddress | null)[] }
  | { readonly type: 'listen-failed'; readonly listener: number; readonly code: string; readonly message: string }
  | {
      readonly type: 'log';
      readonly level: 'info' | 'warn';
      readonly event: string;
      readonly fields: Readonly<Record<string, string | number | boolean>>;
    };

/** What the task resolves to. */
export interface DrainResult {
  /** Connections that the drain timeout cut. */
  readonly connectionsCut: number;
}
