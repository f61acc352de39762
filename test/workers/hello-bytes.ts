/** ClientHellos as bytes (RFC 8446 section 4.1.2), well-formed or not. Test support. */

export const SERVER_NAME = 0;
export const SUPPORTED_VERSIONS = 43;

export function records(...fragments: readonly Buffer[]): Buffer {
  return Buffer.concat(fragments.map((fragment) => Buffer.concat([Buffer.from([22, 3, 1]), vector(2, fragment)])));
}

/** `extensions` null: the hello ends before them. */
export function hello(extensions: readonly Buffer[] | null): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(32, 8)),
    vector(2, Buffer.from([0x13, 0x01, 0xc0, 0x2b])),
    vector(1, Buffer.from([0])),
    extensions === null ? Buffer.alloc(0) : vector(2, Buffer.concat(extensions)),
  ]);
  return Buffer.concat([Buffer.from([1]), vector(3, body)]);
}

export function serverName(name: string): Buffer {
  const entry = Buffer.concat([Buffer.from([0]), vector(2, Buffer.from(name, 'latin1'))]);
  return extension(SERVER_NAME, vector(2, entry));
}

export function versions(...list: readonly number[]): Buffer {
  return extension(SUPPORTED_VERSIONS, vector(1, Buffer.from(list.flatMap((v) => [v >> 8, v & 0xff]))));
}

export function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 0xff]), vector(2, data)]);
}

export function vector(lengthBytes: number, data: Buffer): Buffer {
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(data.length, 0, lengthBytes);
  return Buffer.concat([length, data]);
}
