/** Linux's socket addresses, as system calls take and give them. Pure; main thread. */

const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
/** sockaddr_un(7): a family of two bytes, then sun_path. */
const UNIX_PATH_OFFSET = 2;
const UNIX_PATH_BYTES = 108;

/** Of any family: sockaddr_storage. */
export const ADDRESS_BYTES_MAX = 128;

export type SocketAddress =
  /** The host is canonical and has no brackets. */
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  /** `@NAME` is one in the abstract namespace; empty: the socket has no name. */
  | { readonly kind: 'unix'; readonly path: string };

/** The address of a unix socket; `@NAME` is one in the abstract namespace. Null: too long for one. */
export function encodeUnixAddress(path: string): Buffer | null {
  const name = Buffer.from(path);
  if (name.length >= UNIX_PATH_BYTES) return null;
  const isAbstract = path.startsWith('@');
  // an abstract name begins with a zero and ends where the address does; a path ends with a zero
  const bytes = Buffer.alloc(UNIX_PATH_OFFSET + name.length + (isAbstract ? 0 : 1));
  bytes.set(new Uint8Array(Uint16Array.of(AF_UNIX).buffer));
  name.copy(bytes, UNIX_PATH_OFFSET);
  if (isAbstract) bytes[UNIX_PATH_OFFSET] = 0;
  return bytes;
}

/** Null: of another family. */
export function decodeAddress(bytes: Buffer): SocketAddress | null {
  if (bytes.length < UNIX_PATH_OFFSET) return null;
  const [family] = new Uint16Array(Uint8Array.from(bytes.subarray(0, UNIX_PATH_OFFSET)).buffer);
  if (family === AF_UNIX) return { kind: 'unix', path: decodePath(bytes.subarray(UNIX_PATH_OFFSET)) };
  if (family !== AF_INET && family !== AF_INET6) return null;
  const port = bytes.readUInt16BE(2);
  if (family === AF_INET) return { kind: 'tcp', host: bytes.subarray(4, 8).join('.'), port };
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(8 + 2 * i).toString(16));
  // the URL parser writes it the canonical way (RFC 5952)
  return { kind: 'tcp', host: new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1), port };
}

function decodePath(bytes: Buffer): string {
  if (bytes.length > 0 && bytes[0] === 0) return `@${bytes.toString('utf8', 1)}`;
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}
