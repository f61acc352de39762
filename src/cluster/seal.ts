/**
 * Seals the records of one file: AES-256-GCM under a key that the server's private key and the file's salt give (HKDF,
 * RFC 5869). Main thread.
 *
 * The nonce is the record's sequence number. It never repeats under a key because a salt never does: every file that is
 * begun draws its own, and only the process that began a file appends to it.
 */

import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createSecretKey,
  hkdfSync,
  KeyObject,
  timingSafeEqual,
} from 'node:crypto';

export const SALT_BYTES = 16;
/** Tells another private key from damage; says nothing about the key (HKDF's outputs are independent). */
export const CHECK_BYTES = 16;
export const TAG_BYTES = 16;

const CIPHER = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const INFO = 'stekbal write-ahead log 1';

/** Private key, or its PEM text. */
export type PrivateKey = KeyObject | string | Buffer;

/**
 * What keys are derived from: the private key as PKCS#8 DER, so that the same key in another PEM encoding gives the same.
 * Throws where `privateKey` is none. Printing the result shows nothing secret.
 */
export function sealingMaterial(privateKey: PrivateKey): KeyObject {
  const key = privateKey instanceof KeyObject ? privateKey : createPrivateKey(privateKey);
  return createSecretKey(key.export({ type: 'pkcs8', format: 'der' }));
}

export class Sealer {
  readonly #key: KeyObject;
  readonly #check: Buffer;

  /** `material` as `sealingMaterial` gives it; `salt` is the file's own. */
  constructor(material: KeyObject, salt: Uint8Array) {
    if (salt.length !== SALT_BYTES) throw new RangeError(`a salt of ${salt.length} bytes`);
    const derived = Buffer.from(hkdfSync('sha256', material, salt, INFO, KEY_BYTES + CHECK_BYTES));
    this.#key = createSecretKey(derived.subarray(0, KEY_BYTES));
    this.#check = derived.subarray(KEY_BYTES);
  }

  /** CHECK_BYTES, for the file's header. */
  get check(): Buffer {
    return this.#check;
  }

  isCheck(check: Uint8Array): boolean {
    return check.length === CHECK_BYTES && timingSafeEqual(check, this.#check);
  }

  /** Ciphertext and tag: TAG_BYTES longer than `bytes`. Never twice with one sequence number. */
  seal(sequence: number, bytes: Uint8Array): Buffer {
    const cipher = createCipheriv(CIPHER, this.#key, nonceOf(sequence), { authTagLength: TAG_BYTES });
    cipher.setAAD(boundData(sequence, bytes.length));
    // GCM is a stream: `final` gives no bytes, and computes the tag.
    const text = cipher.update(bytes);
    cipher.final();
    return Buffer.concat([text, cipher.getAuthTag()], text.length + TAG_BYTES);
  }

  /** What was sealed under this number; null where this is not it. */
  open(sequence: number, sealed: Uint8Array): Buffer | null {
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return null;
    const decipher = createDecipheriv(CIPHER, this.#key, nonceOf(sequence), { authTagLength: TAG_BYTES });
    decipher.setAAD(boundData(sequence, length));
    decipher.setAuthTag(sealed.subarray(length));
    const bytes = decipher.update(sealed.subarray(0, length));
    try {
      decipher.final();
    } catch {
      return null;
    }
    return bytes;
  }
}

/** The sequence number, big-endian, in the last eight bytes. */
function nonceOf(sequence: number): Buffer {
  if (!Number.isSafeInteger(sequence) || sequence < 0) throw new RangeError(`sequence number ${sequence}`);
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeBigUInt64BE(BigInt(sequence), NONCE_BYTES - 8);
  return nonce;
}

function boundData(sequence: number, length: number): Buffer {
  const data = Buffer.allocUnsafe(12);
  data.writeBigUInt64BE(BigInt(sequence), 0);
  data.writeUInt32BE(length, 8);
  return data;
}
