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
  /** The service board of this thread alone. */
  readonly services: SharedArrayBuffer;
  /** A route board for each `route` that a service names. */
  readonly boards: readonly RouteRef[];
  /** The address board: connections by client. */
  readonly addresses: SharedArrayBuffer;
  /** The key board: the ring of ticket keys. */
  readonly keys: SharedArrayBuffer;
  readonly settings: ThreadSettings;
}

/** A route board by its route: a pool hashed with a salt. An id is never used again. */
export interface RouteRef {
  readonly id: number;
  readonly buffer: SharedArrayBuffer;
}

/** All that a reload can change, in force at once. */
export interface ThreadSettings {
  readonly headBytesMax: number;
  readonly headersMax: number;
  readonly targetBytesMax: number;
  readonly headerTimeoutMs: number;
  /** Client connections open at once, handshakes among them: in all, on one thread, and from one address. 0: no limit. */
  readonly connectionsMax: number;
  /** A thread's part of connectionsMax: when all is full, one with more gives way. */
  readonly connectionsShare: number;
  readonly connectionsPerThreadMax: number;
  readonly connectionsPerAddressMax: number;
  /** TLS handshakes under way on one thread. At least 1. */
  readonly handshakesMax: number;
  /** Backend connections in all, and a thread's part of them, beyond which idle ones make room. */
  readonly upstreamsMax: number;
  readonly upstreamsShare: number;
  /** Clients that one thread tells at one time that they are refused; the rest are closed without a word. At least 1. */
  readonly refusalsMax: number;
  /** Requests on one connection. 0: no limit. */
  readonly requestsPerConnectionMax: number;
  readonly drainTimeoutMs: number;
  /** The access log's file; null: none. */
  readonly accessLog: string | null;
  readonly listeners: readonly ListenerSettings[];
  readonly services: readonly ServiceSettings[];
}

export type BindAddress =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string }
  /** A socket that the service manager passed, by name. */
  | { readonly kind: 'fd'; readonly name: string };

export interface ListenerSettings {
  /** Of this address as it is served, plain or TLS: the same in the settings before where nothing else is to be opened. */
  readonly id: number;
  readonly address: BindAddress;
  /** The sockets that this thread is to serve; maybe none. */
  readonly sockets: readonly SocketSettings[];
  /** Index into services for a Host that `hosts` does not name; null: such a request is refused. */
  readonly service: number | null;
  readonly hosts: readonly { readonly pattern: string; readonly service: number }[];
  /** null: plain. */
  readonly tls: TlsSettings | null;
}

/** A listening socket. Threads share it by descriptors of their own, so that none is lost when a thread ends. */
export interface SocketSettings {
  readonly id: number;
  /** The thread's own to close; null: the thread serves it already, or is to open it. */
  readonly fd: number | null;
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
  /** Its block on the service boards. 0 <= id < SERVICES_MAX; the same for the same name. */
  readonly id: number;
  readonly name: string;
  /** The id of its route board. */
  readonly route: number;
  readonly pool: string;
  readonly balance: 'least_conn' | 'round_robin' | 'random';
  readonly persistClient: boolean;
  readonly persistClientIdleTimeoutMs: number;
  readonly persistBackend: boolean;
  readonly backendPersistCache: number;
  readonly backendIdleTimeoutMs: number;
  /** Requests that may await their answers on one backend connection, 1 to 256; 1: no pipelining. */
  readonly pipelining: number;
  readonly verifyBackend: boolean;
  readonly verifyBackendPath: string;
  readonly connectTimeoutMs: number;
  readonly responseTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  /** Bytes a second that a client's body, or its reading of a response, must come to. 0: any byte will do. */
  readonly bodyRateMin: number;
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
  /** Open what these settings ask for, to be served by them at once; all else goes on as before. Answered. */
  | { readonly type: 'prepare'; readonly settings: ThreadSettings; readonly boards: readonly RouteRef[] }
  /** What was prepared is in force; sockets that it does not name are closed. Answered. */
  | { readonly type: 'commit' }
  /** What was prepared is not wanted. */
  | { readonly type: 'abort' }
  /** Stop accepting, finish what is in flight within the drain timeout, then end the task. */
  | { readonly type: 'drain' }
  /** Serve the connections that are open for as long as they last, then end the task. Sockets were taken by a commit. */
  | { readonly type: 'retire' }
  /** Log files have been moved away: go over to new ones. */
  | { readonly type: 'reopen-logs' }
  /** A route has outgrown its board: read this one from now on. */
  | { readonly type: 'board'; readonly route: RouteRef };

/** A socket that a thread has opened. */
export interface OpenedSocket {
  readonly listener: number;
  readonly socket: number;
  /** The thread's descriptor; null where it cannot be told. */
  readonly fd: number | null;
  /** With the port that the kernel chose where it was 0. */
  readonly address: BindAddress;
}

/** Listener thread to main thread. */
export type FromListener =
  /** It serves all sockets that it was given or told to open: with the first settings, or with those to be committed. */
  | { readonly type: 'listening'; readonly opened: readonly OpenedSocket[] }
  /** It does not, and has changed nothing. */
  | {
      readonly type: 'listen-failed';
      readonly listener: number;
      /** Descriptors that it was given and has not used: the main thread's to close. */
      readonly untaken: readonly number[];
      readonly code: string;
      readonly message: string;
    }
  | { readonly type: 'committed' }
  /** This thread's requests keep failing on a node, or get answers again. */
  | {
      readonly type: 'node-mark';
      readonly route: number;
      readonly slot: number;
      readonly generation: number;
      readonly isOut: boolean;
      readonly reason: string;
    }
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
