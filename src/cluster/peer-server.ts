/**
 * Where the other servers dial in: it takes their messages, and answers hellos and pings. Everyone else is refused, and
 * cannot take up more than a bounded part of this process. Main thread.
 *
 *   accepted ─ door ─► let in ── TLS, certificate, subject ──► greeted ── hello ──► established, one for each server
 *                      └─ at most silentMax of these two, each against a deadline ─┘
 */

import net, { type AddressInfo, type Socket } from 'node:net';
import tls, { type TLSSocket } from 'node:tls';
import { peerFault } from './credentials.ts';
import { type Frame, type Hello, PROTOCOL_VERSION } from './peer-codec.ts';
import { PeerConnection, type PeerContext } from './peer-connection.ts';
import type { ServerId } from './types.ts';

/** Errors by which OpenSSL says that what came is not TLS. */
const NOT_TLS =
  /HTTP_REQUEST|HTTPS_PROXY_REQUEST|WRONG_VERSION_NUMBER|UNKNOWN_PROTOCOL|UNEXPECTED_MESSAGE|DATA_LENGTH_TOO_LONG|BAD_RECORD|PACKET_LENGTH/;

/** A connection that has not said hello. */
interface Silent {
  readonly raw: Socket;
  readonly address: string;
  /** Its IP address is that of a listed server. */
  readonly isExpected: boolean;
  timer: NodeJS.Timeout | undefined;
}

interface Established {
  readonly connection: PeerConnection;
  lastPongAtMs: number;
}

export class PeerServer {
  readonly #context: PeerContext;
  /** Listens. What it lets in is handed to #tls: to have it accept would cost a TLS object for each that is refused. */
  readonly #server: net.Server;
  readonly #tls: tls.Server;
  #serverIds: ReadonlySet<ServerId> = new Set();
  readonly #sockets = new Set<Socket>();
  /** For reports, when they are closed already. */
  readonly #addresses = new WeakMap<Socket, string>();
  /** By remote address and port, the oldest first. */
  readonly #silent = new Map<string, Silent>();
  readonly #established = new Map<ServerId, Established>();

  constructor(context: PeerContext) {
    this.#context = context;
    this.#server = net.createServer({ noDelay: true }, (raw) => this.#onAccepted(raw));
    this.#tls = tls.createServer({
      ...context.credentials().contextOptions,
      requestCert: true,
      rejectUnauthorized: true,
    });
    this.#tls.on('tlsClientError', (error, socket) => this.#onTlsError(error, socket));
    this.#tls.on('secureConnection', (socket) => this.#onSecure(socket));
  }

  /** Resolves to the port. Rejects with a message for an operator. */
  listen(address: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const onError = (cause: NodeJS.ErrnoException) => {
        reject(new Error(`cannot listen for peers on ${address}:${port}: ${cause.code ?? cause.message}`, { cause }));
      };
      this.#server.once('error', onError);
      this.#server.listen(port, address, () => {
        this.#server.off('error', onError);
        // such as no file descriptor left: without a handler it would end the process
        this.#server.on('error', (error) => this.#context.refusals.add('accept-failed', { detail: error.message }));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  setServers(serverIds: Iterable<ServerId>): void {
    this.#serverIds = new Set(serverIds);
    this.#context.door.keep(this.#serverIds);
    for (const [serverId, { connection }] of this.#established) {
      if (!this.#serverIds.has(serverId)) connection.destroy();
    }
  }

  /** Takes the credentials of now; whoever is connected has to come again. */
  renew(): void {
    this.#tls.setSecureContext(this.#context.credentials().contextOptions);
    this.#destroyAll();
  }

  /** Whether `serverId` has a connection to this server. */
  hears(serverId: ServerId): boolean {
    return this.#established.has(serverId);
  }

  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#destroyAll();
    return closed;
  }

  #destroyAll(): void {
    for (const raw of this.#sockets) raw.destroy();
  }

  #onAccepted(raw: Socket): void {
    const { door, limits, refusals, traffic } = this.#context;
    // gone already: without an address it could not be told from others
    if (raw.remoteAddress === undefined || raw.remotePort === undefined) {
      raw.destroy();
      return;
    }
    if (!door.admits(raw.remoteAddress)) {
      refusals.add('too-many', { address: endpointOf(raw) });
      // a FIN would leave it to us to remember the connection for a minute
      raw.on('error', () => {}).resetAndDestroy();
      return;
    }
    const isExpected = door.expects(raw.remoteAddress);
    const silent: Silent = { raw, address: endpointOf(raw), isExpected, timer: undefined };
    traffic.accepted += 1;
    this.#sockets.add(raw);
    this.#addresses.set(raw, silent.address);
    this.#silent.set(silent.address, silent);
    this.#expect(silent, limits.handshakeTimeoutMs);
    raw.on('error', () => {});
    raw.once('close', () => {
      this.#sockets.delete(raw);
      this.#noLongerSilent(silent);
    });
    this.#tls.emit('connection', raw);
    if (this.#silent.size > limits.silentMax) this.#makeWay();
  }

  /** The oldest stranger, or else the oldest: whoever means well has said hello by the time that so many others have come. */
  #makeWay(): void {
    const all = [...this.#silent.values()];
    const oldest = all.find(({ isExpected }) => !isExpected) ?? all[0];
    if (oldest !== undefined) this.#giveUp(oldest, 'made way for a newer connection');
  }

  /** Gives it `ms` from now. */
  #expect(silent: Silent, ms: number): void {
    clearTimeout(silent.timer);
    silent.timer = setTimeout(() => this.#giveUp(silent, `${ms} ms passed`), ms);
  }

  #giveUp(silent: Silent, detail: string): void {
    this.#noLongerSilent(silent);
    this.#context.refusals.add('silent', { address: silent.address, detail });
    silent.raw.destroy();
  }

  #noLongerSilent(silent: Silent): void {
    clearTimeout(silent.timer);
    if (this.#silent.get(silent.address) === silent) this.#silent.delete(silent.address);
  }

  /** Also for connections that end during the handshake, by their own doing or ours: those are nobody's fault. */
  #onTlsError(error: NodeJS.ErrnoException, socket: TLSSocket): void {
    const code = error.code ?? error.message;
    const reason = handshakeFault(code, socket);
    if (reason !== null) {
      const detail = String(socket.authorizationError ?? code);
      this.#context.refusals.add(reason, { address: this.#addresses.get(parentOf(socket)), detail });
    }
    socket.destroy();
  }

  #onSecure(socket: TLSSocket): void {
    const silent = this.#silent.get(endpointOf(socket));
    const fault = peerFault(this.#context.credentials(), socket);
    socket.on('error', () => {});
    if (silent === undefined || fault !== null) {
      if (fault !== null) {
        this.#context.refusals.add(fault.reason, { address: endpointOf(socket), detail: fault.detail });
      }
      socket.destroy();
      return;
    }
    this.#expect(silent, this.#context.limits.helloTimeoutMs);
    this.#greet(socket, silent);
  }

  #greet(socket: TLSSocket, silent: Silent): void {
    let from: ServerId | null = null;
    let established: Established | null = null;
    const connection = new PeerConnection(socket, {
      context: this.#context,
      describe: () => ({ address: silent.address, ...(from !== null && { serverId: from }) }),
      onFrame: (frame) => {
        if (from !== null && established !== null) return this.#onFrame(from, established, frame);
        clearTimeout(silent.timer);
        if (frame.type !== 'hello') return frame.type === 'other-hello' ? 'wrong-version' : 'bad-frame';
        from = frame.serverId;
        const fault = this.#helloFault(frame);
        // a machine that is not in our list yet must know that there is a cluster, or it would found another
        if (fault === 'unknown-server') this.#sayHello(connection, from);
        if (fault !== null) return fault;
        established = { connection, lastPongAtMs: performance.now() };
        this.#noLongerSilent(silent);
        socket.setTimeout(this.#context.limits.idleTimeoutMs, () => socket.destroy());
        if (socket.remoteAddress !== undefined) this.#context.door.heard(from, socket.remoteAddress);
        return this.#establish(from, established, frame);
      },
    });
    socket.on('data', () => {
      if (established !== null && !connection.isClosing) this.#answer(established, this.#context.limits.pingIntervalMs);
    });
    socket.once('close', () => {
      if (from !== null && this.#established.get(from) === established) this.#established.delete(from);
    });
  }

  #helloFault({ serverId, to }: Hello): string | null {
    if (serverId === this.#context.serverId) return 'own-id';
    if (to !== this.#context.serverId) return 'wrong-address';
    return this.#serverIds.has(serverId) ? null : 'unknown-server';
  }

  #establish(from: ServerId, established: Established, { announce }: Hello): string | null {
    this.#established.get(from)?.connection.destroy();
    this.#established.set(from, established);
    established.connection.trust();
    const reason = this.#context.onMessage(from, announce);
    // Also where it is closed now, so that both learn of each other; and after onMessage, so that it says what follows.
    this.#sayHello(established.connection, from);
    return reason;
  }

  #sayHello(connection: PeerConnection, to: ServerId): void {
    const { serverId, hello } = this.#context;
    connection.send({ type: 'hello', version: PROTOCOL_VERSION, serverId, to, announce: hello(to) });
  }

  #onFrame(from: ServerId, established: Established, frame: Frame): string | null {
    switch (frame.type) {
      case 'ping':
        this.#answer(established, 0);
        return null;
      case 'pong':
      case 'hello':
      case 'other-hello':
        return 'bad-frame';
      default:
        return this.#context.onMessage(from, frame);
    }
  }

  /**
   * A pong, where the last one was at least `intervalMs` ago: to each ping, and while other bytes arrive. A ping behind a
   * large message on a slow line comes late, and the other end must not take that for silence.
   */
  #answer(established: Established, intervalMs: number): void {
    const nowMs = performance.now();
    if (nowMs - established.lastPongAtMs < intervalMs) return;
    established.lastPongAtMs = nowMs;
    established.connection.send({ type: 'pong' });
  }
}

/** Null: it hung up, or was hung up on. */
function handshakeFault(code: string, socket: TLSSocket): string | null {
  if (socket.authorizationError) return 'untrusted-certificate';
  if (code.includes('DID_NOT_RETURN_A_CERTIFICATE')) return 'no-certificate';
  if (!code.startsWith('ERR_SSL') && !code.startsWith('ERR_TLS')) return null;
  return NOT_TLS.test(code) ? 'not-tls' : 'handshake-failed';
}

/** Unique among the connections that are open, as we listen on one port. */
function endpointOf(socket: Socket): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}

/**
 * The socket below TLS, for a log line: Node closes the connection of an untrusted peer before it tells us of it, and this
 * undocumented way is the only one to its address.
 */
function parentOf(socket: TLSSocket): Socket {
  return (socket as { _parent?: Socket })._parent ?? socket;
}
