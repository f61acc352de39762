/**
 * A TLS client that sends what no library sends. Node makes the handshake and tells its secrets (`keylog`); from then on
 * records of any type and content are sealed here and written to the bare socket (RFC 8446 section 5.2, RFC 5246 section
 * 6.2.3.3, RFC 5288). Nothing is read unless `resume` is called.
 */

import { createCipheriv, createHmac } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { duplexPair } from 'node:stream';
import type { TestContext } from 'node:test';
import tls from 'node:tls';
import type { Version } from './tls-harness.ts';

export const RECORD_TYPE = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;
/** RFC 8446 section 4.6.3, with update_requested. */
export const KEY_UPDATE = Buffer.from([24, 0, 0, 1, 1]);

const VERSION_12 = Buffer.from([3, 3]);
const TAG_BYTES = 16;
const NO_BYTES: Buffer = Buffer.alloc(0);

export interface RecordClient {
  /** The connection as the server sees it. Not read from until `resume`. */
  readonly socket: net.Socket;
  readonly ended: Promise<string>;
  /** A record of any `type`, sealed with the keys of now. */
  seal(type: number, content: Uint8Array): Buffer;
  /** A KeyUpdate, after which records are sealed with the next keys. TLS 1.3 alone. */
  keyUpdate(): Buffer;
  /** Records are sealed with the next keys from now on. TLS 1.3 alone. */
  useNextKeys(): void;
  /** Writes; resolves once the kernel has taken all of it, or the connection is gone. */
  send(bytes: Uint8Array): Promise<void>;
}

/** Connects, and resolves when the handshake is done and all that came with it was read. */
export async function connectRecords(
  t: TestContext,
  port: number,
  version: Version,
  options: tls.ConnectionOptions = {},
): Promise<RecordClient> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
  t.after(() => socket.destroy());
  const ended = new Promise<string>((resolve) => {
    socket.once('end', () => resolve('FIN'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve('closed'));
  });
  await once(socket, 'connect');
  const [near, far] = duplexPair();
  let serverRandom = NO_BYTES;
  const onData = (bytes: Buffer) => {
    // the first record is the ServerHello: record header 5, message header 4, version 2
    if (serverRandom.length === 0) serverRandom = Buffer.from(bytes.subarray(11, 43));
    far.write(bytes);
  };
  socket.on('data', onData);
  far.on('data', (bytes: Buffer) => socket.write(bytes));
  const secrets = new Map<string, [context: Buffer, secret: Buffer]>();
  const client = tls.connect({
    socket: near,
    rejectUnauthorized: false,
    minVersion: version,
    maxVersion: version,
    ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256',
    ...options,
  });
  client.on('error', () => {});
  client.on('keylog', (line: Buffer) => {
    const [label = '', context = '', secret = ''] = line.toString('latin1').trim().split(' ');
    secrets.set(label, [Buffer.from(context, 'hex'), Buffer.from(secret, 'hex')]);
  });
  await once(client, 'secureConnect');
  socket.removeListener('data', onData);
  socket.pause();
  const sealer = version === 'TLSv1.3' ? new Sealer13(secrets) : new Sealer12(secrets, serverRandom);
  return {
    socket,
    ended,
    seal: (type, content) => sealer.seal(type, content),
    keyUpdate: () => {
      const record = sealer.seal(RECORD_TYPE.handshake, KEY_UPDATE);
      if (sealer instanceof Sealer13) sealer.update();
      return record;
    },
    useNextKeys: () => {
      if (sealer instanceof Sealer13) sealer.update();
    },
    send: (bytes) =>
      new Promise((resolve) => {
        if (socket.destroyed || !socket.writable) return resolve();
        socket.once('close', resolve);
        socket.write(bytes, () => {
          socket.removeListener('close', resolve);
          resolve();
        });
      }),
  };
}

type Secrets = ReadonlyMap<string, readonly [context: Buffer, secret: Buffer]>;

/** RFC 8446 sections 5.2, 5.3 and 7. */
class Sealer13 {
  #secret: Buffer;
  #key: Buffer = NO_BYTES;
  #iv: Buffer = NO_BYTES;
  #sequence = 0;

  constructor(secrets: Secrets) {
    this.#secret = secrets.get('CLIENT_TRAFFIC_SECRET_0')?.[1] ?? Buffer.alloc(32);
    this.#derive();
  }

  /** RFC 8446 section 7.2. */
  update(): void {
    this.#secret = expandLabel(this.#secret, 'traffic upd', 32);
    this.#derive();
  }

  seal(type: number, content: Uint8Array): Buffer {
    const header = recordHeader(RECORD_TYPE.applicationData, content.length + 1 + TAG_BYTES);
    const nonce = Buffer.from(this.#iv);
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ this.#sequence++) >>> 0, 8);
    return Buffer.concat([header, encrypt(this.#key, nonce, header, Buffer.from([...content, type]))]);
  }

  #derive(): void {
    this.#key = expandLabel(this.#secret, 'key', 16);
    this.#iv = expandLabel(this.#secret, 'iv', 12);
    this.#sequence = 0;
  }
}

/** AES-128-GCM of TLS 1.2. */
class Sealer12 {
  readonly #key: Buffer;
  readonly #salt: Buffer;
  /** Finished was the first. */
  #sequence = 1;

  constructor(secrets: Secrets, serverRandom: Buffer) {
    const [clientRandom, master] = secrets.get('CLIENT_RANDOM') ?? [Buffer.alloc(32), Buffer.alloc(48)];
    const block = prf(master, 'key expansion', Buffer.concat([serverRandom, clientRandom]), 40);
    this.#key = block.subarray(0, 16);
    this.#salt = block.subarray(32, 36);
  }

  seal(type: number, content: Uint8Array): Buffer {
    const explicit = Buffer.alloc(8);
    explicit.writeUInt32BE(this.#sequence++, 4);
    const associated = Buffer.concat([explicit, recordHeader(type, content.length)]);
    const nonce = Buffer.concat([this.#salt, explicit]);
    const sealed = encrypt(this.#key, nonce, associated, content);
    return Buffer.concat([recordHeader(type, explicit.length + sealed.length), explicit, sealed]);
  }
}

function recordHeader(type: number, length: number): Buffer {
  return Buffer.concat([Buffer.from([type]), VERSION_12, Buffer.from([length >> 8, length & 0xff])]);
}

function encrypt(key: Buffer, nonce: Buffer, associated: Buffer, content: Uint8Array): Buffer {
  const cipher = createCipheriv('aes-128-gcm', key, nonce).setAAD(associated);
  return Buffer.concat([cipher.update(content), cipher.final(), cipher.getAuthTag()]);
}

/** HKDF-Expand-Label of SHA-256 with an empty context, RFC 8446 section 7.1: one HMAC, as no length here needs two. */
function expandLabel(secret: Buffer, label: string, length: number): Buffer {
  const full = `tls13 ${label}`;
  const info = Buffer.concat([Buffer.from([0, length, full.length]), Buffer.from(full), Buffer.from([0])]);
  return createHmac('sha256', secret)
    .update(info)
    .update(Buffer.from([1]))
    .digest()
    .subarray(0, length);
}

/** RFC 5246 section 5. */
function prf(secret: Buffer, label: string, seed: Buffer, length: number): Buffer {
  const labelled = Buffer.concat([Buffer.from(label), seed]);
  const mac = (bytes: Buffer) => createHmac('sha256', secret).update(bytes).digest();
  let out = NO_BYTES;
  for (let a = mac(labelled); out.length < length; a = mac(a))
    out = Buffer.concat([out, mac(Buffer.concat([a, labelled]))]);
  return out.subarray(0, length);
}
