/**
 * What a TLS ClientHello asks for, read before any TLS object is made: the server name, and whether TLS 1.3 is offered
 * (RFC 8446 section 4.1.2, RFC 6066 section 3). Pure, listener threads; one object a thread, used again.
 *
 * It only chooses the context. What begins as a hello does and then turns odd is OpenSSL's to judge, and to answer with
 * an alert: it counts as whole, and as asking for nothing.
 */

export const HELLO = {
  /** More bytes are needed. */
  incomplete: 0,
  /** No TLS handshake begins like this, or none of a sane size. */
  notTls: 1,
  /** The bytes are OpenSSL's from here on. */
  whole: 2,
} as const;
export type HelloOutcome = (typeof HELLO)[keyof typeof HELLO];

/** Of all that comes before the hello is whole. One with post-quantum key shares has 2 KiB. */
export const HELLO_BYTES_MAX = 64 * 1024;
/** Every read walks over all records again: this keeps a hello that comes byte by byte cheap. */
const RECORDS_MAX = 64;

const RECORD = { handshake: 22, majorVersion: 3, headerBytes: 5, bytesMax: 1 << 14 } as const; // RFC 8446 section 5.1
const CLIENT_HELLO = 1;
const MESSAGE_HEADER_BYTES = 4;
const VERSION_AND_RANDOM_BYTES = 34;
const EXTENSION = { serverName: 0, supportedVersions: 43 } as const;
const HOST_NAME = 0;
const TLS_13 = 0x0304;

export class ClientHello {
  /** Lower case, without a trailing dot; '' where the client names none. */
  serverName = '';
  offersTls13 = false;

  /** What is left of the message is `#bytes[#pos, #end)`. */
  #bytes: Uint8Array = NO_BYTES;
  #pos = 0;
  #end = 0;
  /** The first bytes of the message, as far as they have come. */
  readonly #header = new Uint8Array(MESSAGE_HEADER_BYTES);

  /** Reads a connection's first bytes, `bytes[0, end)`. The fields hold once the outcome is HELLO.whole. */
  read(bytes: Uint8Array, end: number): HelloOutcome {
    this.serverName = '';
    this.offersTls13 = false;
    const outcome = this.#findMessage(bytes, end);
    if (outcome === HELLO.whole && !this.#readMessage()) {
      this.serverName = '';
      this.offersTls13 = false;
    }
    this.#bytes = NO_BYTES;
    return outcome;
  }

  /** Walks over all records that are there. Their bytes are gathered once, when the message is whole. */
  #findMessage(bytes: Uint8Array, end: number): HelloOutcome {
    let records = 0;
    let gathered = 0;
    let pos = 0;
    while (mayBeRecord(bytes, pos, end)) {
      const start = pos + RECORD.headerBytes;
      if (start >= end) return this.#judge(bytes, records, gathered, true, end);
      if (++records > RECORDS_MAX) return HELLO.notTls;
      pos = start + uint16(bytes, start - 2);
      const fragment = Math.min(pos, end) - start;
      for (let i = 0; i < fragment && gathered + i < MESSAGE_HEADER_BYTES; i++) {
        this.#header[gathered + i] = bytes[start + i] as number;
      }
      gathered += fragment;
      if (pos >= end) return this.#judge(bytes, records, gathered, true, end);
    }
    return records === 0 ? HELLO.notTls : this.#judge(bytes, records, gathered, false, end);
  }

  /** `canGoOn`: nothing stands behind the `gathered` bytes that could not belong to the message's next record. */
  #judge(bytes: Uint8Array, records: number, gathered: number, canGoOn: boolean, end: number): HelloOutcome {
    const length = gathered < MESSAGE_HEADER_BYTES ? -1 : uint24(this.#header, 1);
    const isOther = gathered > 0 && this.#header[0] !== CLIENT_HELLO;
    if (!isOther && length > HELLO_BYTES_MAX) return HELLO.notTls;
    const isWhole = length >= 0 && gathered >= MESSAGE_HEADER_BYTES + length;
    if (!isOther && !isWhole && canGoOn) return end < HELLO_BYTES_MAX ? HELLO.incomplete : HELLO.notTls;
    this.#bytes = records > 1 ? joinRecords(bytes, gathered) : bytes;
    this.#pos = records > 1 ? 0 : RECORD.headerBytes;
    this.#end = this.#pos + gathered;
    return HELLO.whole;
  }

  /** False where the message is not a well-formed hello. */
  #readMessage(): boolean {
    if (this.#left < MESSAGE_HEADER_BYTES || this.#bytes[this.#pos] !== CLIENT_HELLO) return false;
    const length = uint24(this.#bytes, this.#pos + 1);
    this.#pos += MESSAGE_HEADER_BYTES;
    if (length > this.#left) return false;
    this.#end = this.#pos + length;
    if (!this.#skip(VERSION_AND_RANDOM_BYTES) || !this.#skipVectors()) return false;
    // before TLS 1.2 a hello could end here
    return this.#left === 0 || (this.#vectorBytes(2) === this.#left && this.#readExtensions());
  }

  /** session_id<0..32>, cipher_suites<2..2^16-2>, compression_methods<1..2^8-1>. */
  #skipVectors(): boolean {
    const sessionId = this.#vectorBytes(1);
    if (sessionId > 32 || !this.#skip(sessionId)) return false;
    const suites = this.#vectorBytes(2);
    if (suites < 2 || suites % 2 !== 0 || !this.#skip(suites)) return false;
    const methods = this.#vectorBytes(1);
    return methods >= 1 && this.#skip(methods);
  }

  #readExtensions(): boolean {
    while (this.#left > 0) {
      if (this.#left < 4) return false;
      const type = uint16(this.#bytes, this.#pos);
      this.#pos += 2;
      const length = this.#vectorBytes(2);
      const next = this.#pos + length;
      if (length < 0 || next > this.#end) return false;
      if (type === EXTENSION.serverName && !this.#readServerName(next)) return false;
      if (type === EXTENSION.supportedVersions && !this.#readVersions(next)) return false;
      this.#pos = next;
    }
    return true;
  }

  /** RFC 6066 section 3: a list of one name of each type, and only host names were ever defined. */
  #readServerName(end: number): boolean {
    if (this.#vectorBytes(2) !== end - this.#pos || this.#bytes[this.#pos] !== HOST_NAME) return false;
    this.#pos += 1;
    if (this.#vectorBytes(2) !== end - this.#pos || this.#pos === end) return false;
    this.serverName = hostName(this.#bytes, this.#pos, end);
    return true;
  }

  #readVersions(end: number): boolean {
    if (this.#vectorBytes(1) !== end - this.#pos || (end - this.#pos) % 2 !== 0) return false;
    for (let pos = this.#pos; pos < end; pos += 2) this.offersTls13 ||= uint16(this.#bytes, pos) === TLS_13;
    return true;
  }

  get #left(): number {
    return this.#end - this.#pos;
  }

  /** Reads the length, of `lengthBytes` bytes, that stands before a vector; -1 where it is not whole. */
  #vectorBytes(lengthBytes: 1 | 2): number {
    if (this.#left < lengthBytes) return -1;
    const length = lengthBytes === 1 ? (this.#bytes[this.#pos] as number) : uint16(this.#bytes, this.#pos);
    this.#pos += lengthBytes;
    return length;
  }

  #skip(length: number): boolean {
    if (length < 0 || length > this.#left) return false;
    this.#pos += length;
    return true;
  }
}

const NO_BYTES = new Uint8Array(0);

/** A record of handshake bytes could begin at `pos`, as far as its header has come. */
function mayBeRecord(bytes: Uint8Array, pos: number, end: number): boolean {
  if (pos < end && bytes[pos] !== RECORD.handshake) return false;
  if (pos + 1 < end && bytes[pos + 1] !== RECORD.majorVersion) return false;
  if (pos + RECORD.headerBytes > end) return true;
  const length = uint16(bytes, pos + 3);
  return length > 0 && length <= RECORD.bytesMax;
}

/** The `gathered` bytes that all records of `bytes` hold, without their headers. */
function joinRecords(bytes: Uint8Array, gathered: number): Uint8Array {
  const joined = new Uint8Array(gathered);
  for (let filled = 0, pos = 0; filled < gathered; ) {
    const start = pos + RECORD.headerBytes;
    pos = start + uint16(bytes, start - 2);
    const fragment = bytes.subarray(start, Math.min(pos, start + gathered - filled));
    joined.set(fragment, filled);
    filled += fragment.length;
  }
  return joined;
}

/** '' where a byte stands in it that no host name has: such a name matches no certificate. */
function hostName(bytes: Uint8Array, start: number, end: number): string {
  let name = '';
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number;
    if (!isHostByte(byte)) return '';
    name += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
  }
  return name.endsWith('.') ? name.slice(0, -1) : name;
}

/** Letters, digits, '-', '.', '_'. */
function isHostByte(byte: number): boolean {
  const lower = byte | 0x20;
  if (lower >= 0x61 && lower <= 0x7a) return true;
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x2e || byte === 0x5f;
}

function uint16(bytes: Uint8Array, pos: number): number {
  return ((bytes[pos] as number) << 8) | (bytes[pos + 1] as number);
}

function uint24(bytes: Uint8Array, pos: number): number {
  return ((bytes[pos] as number) << 16) | uint16(bytes, pos + 1);
}
