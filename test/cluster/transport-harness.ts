/** Servers on the loopback for tests of the transport, and fakes that misbehave. Everything ends with the test. */

import { once } from 'node:events';
import net from 'node:net';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import { type Credentials, loadCredentials } from '../../src/cluster/credentials.ts';
import { FrameReader, frame } from '../../src/cluster/frames.ts';
import { FRAME_BYTES_MAX } from '../../src/cluster/limits.ts';
import { decodeFrame, encodeFrame, type Frame } from '../../src/cluster/peer-codec.ts';
import { Transport, type TransportOptions } from '../../src/cluster/transport.ts';
import type { Announce, PeerMessage, ServerId } from '../../src/cluster/types.ts';
import { eventually, temporaryFolder } from '../e2e/harness.ts';
import { type Authority, createAuthority, type Leaf, writeCredentials } from './certificates.ts';

export const SUBJECT = '/C=US/O=Yahoo/CN=localhost';
export const HOST = '127.0.0.1';
export const authority = createAuthority();
export const LEAF = authority.issue(SUBJECT);
/** Of one fake peer. */
export const PEER_ID = 9;

export interface Line {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Server {
  readonly serverId: ServerId;
  readonly port: number;
  readonly transport: Transport;
  readonly received: [from: ServerId, message: PeerMessage][];
  /** '+2' and '-2' for the link to server 2. */
  readonly links: string[];
  readonly lines: Line[];
  refusals(reason: string): number;
}

type Overrides = Partial<TransportOptions>;
type Recorder = Pick<Server, 'received' | 'links' | 'lines'>;

/** Servers 1..count, connected with each other; `extra` are listed too, and not there. */
export async function startGroup(
  t: TestContext,
  count: number,
  { extra = [], options = {} }: { extra?: readonly ServerId[]; options?: Overrides } = {},
): Promise<[Server, Server, Server, ...Server[]]> {
  const group: Server[] = [];
  for (let id = 1; id <= count; id += 1) group.push(await startServer(t, id, options));
  const absent = extra.map((serverId) => ({ serverId, address: HOST, port: 1 }));
  for (const { transport } of group) transport.setServers([...listOf(group), ...absent]);
  const isConnected = ({ transport }: Server) =>
    transport.peers().filter((peer) => peer.isConnected && peer.isHeard).length === count - 1;
  await eventually(() => group.every(isConnected), 'the group to be connected');
  return group as [Server, Server, Server, ...Server[]];
}

export async function startServer(t: TestContext, serverId: ServerId, overrides: Overrides = {}): Promise<Server> {
  const record = newRecord();
  const transport = new Transport(await optionsOf(t, serverId, overrides, record));
  t.after(() => transport.close());
  const port = await transport.listen();
  return { serverId, port, transport, ...record, refusals: (reason) => transport.counters.refusals[reason] ?? 0 };
}

export function newRecord(): Recorder {
  return { received: [], links: [], lines: [] };
}

export async function optionsOf(
  t: TestContext,
  serverId: ServerId,
  overrides: Overrides,
  { received, links, lines }: Recorder,
): Promise<TransportOptions> {
  return {
    serverId,
    listen: { address: HOST, port: 0 },
    credentials: overrides.credentials ?? (await credentialsOf(t, LEAF)),
    hello: () => announceOf(serverId),
    onMessage: (from, message) => {
      received.push([from, message]);
      return null;
    },
    onLinkUp: (to) => links.push(`+${to}`),
    onLinkDown: (to) => links.push(`-${to}`),
    report: (level, message, fields = {}) => lines.push({ level, message, fields: { ...fields } }),
    random: Math.random,
    ...overrides,
  };
}

export function credentialsOf(
  t: TestContext,
  leaf: Leaf,
  authorities: readonly Authority[] = [authority],
  subject = SUBJECT,
): Promise<Credentials> {
  return loadCredentials(writeCredentials(temporaryFolder(t), 'own', authorities, leaf), subject);
}

export function listOf(group: readonly Server[]): { serverId: ServerId; address: string; port: number }[] {
  return group.map(({ serverId, port }) => ({ serverId, address: HOST, port }));
}

export function announceOf(serverId: ServerId): Announce {
  return {
    type: 'announce',
    member: `${serverId}.test`,
    cluster: null,
    leader: null,
    term: 0,
    excludes: null,
    position: { generation: 0, term: 0, index: 0 },
  };
}

export function text(value: string): PeerMessage {
  return { type: 'propose', cluster: '1.ab', id: 1, data: new Uint8Array(Buffer.from(value)) };
}

export function texts(server: Server): string[] {
  return server.received.flatMap(([from, message]) =>
    message.type === 'propose' ? [`${from}: ${Buffer.from(message.data)}`] : [],
  );
}

export function messages(server: Server): [ServerId, PeerMessage][] {
  return server.received.filter(([, message]) => message.type !== 'announce');
}

export function announces(server: Server): string[] {
  return server.received.flatMap(([, message]) => (message.type === 'announce' ? [message.member] : []));
}

export function ids(server: Server): ServerId[] {
  return server.transport.peers().map(({ serverId }) => serverId);
}

/** The hello of a fake peer to server 1. */
export function hello({ serverId = PEER_ID, to = 1 }: { serverId?: ServerId; to?: ServerId } = {}): Buffer {
  return frame(encodeFrame({ type: 'hello', version: 1, serverId, to, announce: announceOf(serverId) }));
}

export function connect(t: TestContext, port: number, options: { localAddress?: string } = {}): net.Socket {
  const socket = net.connect({ port, host: HOST, ...options });
  socket.on('error', () => {}).resume();
  t.after(() => socket.destroy());
  return socket;
}

export interface FakePeer {
  readonly socket: tls.TLSSocket;
  /** All that came. */
  readonly frames: readonly Frame[];
  readonly closed: Promise<void>;
}

/** Dials as an attacker, or as a peer. */
export function dial(
  t: TestContext,
  port: number,
  leaf: Leaf | null,
  options: tls.ConnectionOptions & { localAddress?: string } = {},
): FakePeer {
  const identity = leaf === null ? {} : { cert: leaf.certificate, key: leaf.key };
  const ca = authority.certificate;
  const socket = tls.connect({ port, host: HOST, ca, checkServerIdentity: () => undefined, ...identity, ...options });
  t.after(() => socket.destroy());
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return { socket, frames: collectFrames(socket), closed };
}

function collectFrames(socket: net.Socket, frames: Frame[] = []): Frame[] {
  const reader = new FrameReader(FRAME_BYTES_MAX);
  socket.on('data', (chunk: Buffer) => {
    reader.push(chunk);
    for (let next = reader.next(); next !== null; next = reader.next()) {
      frames.push(decodeFrame(next as Uint8Array) as Frame);
    }
  });
  return frames;
}

/** Is dialled by servers. */
export async function fakeServer(
  t: TestContext,
  leaf: Leaf,
  onConnection: (socket: tls.TLSSocket) => void = () => {},
): Promise<{ port: number; sockets: tls.TLSSocket[]; frames: Frame[] }> {
  const sockets: tls.TLSSocket[] = [];
  const frames: Frame[] = [];
  const identity = { cert: leaf.certificate, key: leaf.key, ca: authority.certificate };
  const server = tls.createServer({ ...identity, requestCert: true }, (socket) => {
    sockets.push(socket);
    collectFrames(socket, frames);
    socket.on('error', () => {});
    onConnection(socket);
  });
  await once(server.listen(0, HOST), 'listening');
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as net.AddressInfo).port, sockets, frames };
}
