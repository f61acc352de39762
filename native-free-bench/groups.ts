/** What is measured of the subjects: each group a kind of load, with all subjects in turns. */

interface Common {
  readonly name: string;
  /** For the table's head. */
  readonly title: string;
  readonly isTls: boolean;
}

/** Requests on kept connections. */
export interface RequestGroup extends Common {
  readonly kind: 'requests';
  readonly connections: number;
  readonly answerBytes: number;
  /** 0: GET. */
  readonly uploadBytes: number;
}

/** Connections without a request. */
export interface HandshakeGroup extends Common {
  readonly kind: 'handshakes';
  readonly version: 'TLSv1.2' | 'TLSv1.3';
  readonly isResumed: boolean;
  readonly clients: number;
}

export type Group = RequestGroup | HandshakeGroup;

export const SMALL_BYTES = 120;
const MIB = 1024 * 1024;
const CONNECTIONS = 64;
const LARGE_CONNECTIONS = 16;
const HANDSHAKE_CLIENTS = 8;

const handshakes = (['TLSv1.2', 'TLSv1.3'] as const).flatMap((version) =>
  [false, true].map((isResumed): HandshakeGroup => {
    const how = isResumed ? 'resumed' : 'full';
    return {
      kind: 'handshakes',
      name: `${version.toLowerCase().replaceAll(/[v.]/g, '')}-${how}`,
      title: `${version.replace('v', ' ')} connection, ${how}`,
      isTls: true,
      version,
      isResumed,
      clients: HANDSHAKE_CLIENTS,
    };
  }),
);

function requests(name: string, title: string, how: Partial<RequestGroup> = {}): RequestGroup {
  const usual = { isTls: false, connections: CONNECTIONS, answerBytes: SMALL_BYTES, uploadBytes: 0 };
  return { kind: 'requests', name, title, ...usual, ...how };
}

const down = { connections: LARGE_CONNECTIONS, answerBytes: MIB };
const up = { connections: LARGE_CONNECTIONS, uploadBytes: MIB };

export const GROUPS: readonly Group[] = [
  requests('plain', 'request, small answer, 64 connections'),
  requests('connections', 'request, small answer, 1,000 connections', { connections: 1_000 }),
  requests('tls', 'request over TLS, small answer, 64 connections', { isTls: true }),
  requests('download', 'answers of 1 MiB, 16 connections', down),
  requests('upload', 'content of 1 MiB, 16 connections', up),
  requests('tls-download', 'answers of 1 MiB over TLS, 16 connections', { ...down, isTls: true }),
  requests('tls-upload', 'content of 1 MiB over TLS, 16 connections', { ...up, isTls: true }),
  ...handshakes,
];

const BYTES_PER_GIB = 1024 ** 3;

/** The figure of a round: for large bodies by their bytes, else by the piece. */
export function figureOf(group: Group, cpuMs: number, done: number): number {
  const bytes = bytesEach(group);
  return bytes === 0 ? (cpuMs * 1_000) / done : (cpuMs * BYTES_PER_GIB) / (done * bytes);
}

export function unitOf(group: Group): string {
  if (bytesEach(group) > 0) return 'ms CPU/GiB';
  return group.kind === 'requests' ? 'us CPU/request' : 'us CPU/connection';
}

/** What its figures are counted by; 0: by the piece. */
function bytesEach(group: Group): number {
  if (group.kind === 'handshakes') return 0;
  return group.uploadBytes > 0 ? group.uploadBytes : group.answerBytes >= MIB ? group.answerBytes : 0;
}
