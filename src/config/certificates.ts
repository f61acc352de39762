/**
 * Certificates and private keys as PEM text: reading them, and judging whether a server can show them. Where a text comes
 * from and where a fault is to be reported is check-certificates.ts's to know. Main thread.
 *
 * Messages are the end of a sentence that begins with the file's name. None holds anything of a key.
 */

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import tls from 'node:tls';
import { type Parsed, parsed, refused } from './units.ts';

/** What stands in a file, without what stands between the blocks. */
export interface Chain {
  pem: string;
  /** The first is the server's own. */
  certificates: [X509Certificate, ...X509Certificate[]];
}

export interface PrivateKey {
  pem: string;
  object: KeyObject;
}

interface PemBlock {
  label: string;
  text: string;
}

const BEGIN = '-----BEGIN ';
const DASHES = '-----';
/** Keys that make no signature a TLS client takes. */
const UNFIT_KEY_TYPES = ['dsa', 'dh', 'x25519', 'x448'];
const DNS_LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const DNS_NAME = new RegExp(`^(?=.{1,253}$)(?:\\*\\.)?${DNS_LABEL}(?:\\.${DNS_LABEL})*$`);

/** Every certificate in the text, of which there must be one. */
export function readChain(text: string): Parsed<Chain> {
  const blocks = pemBlocks(text);
  const own = blocks.filter(({ label }) => label === 'CERTIFICATE');
  if (own.length === 0) return refused(describeOther(blocks, 'no certificate'));
  const certificates: X509Certificate[] = [];
  for (const [i, block] of own.entries()) {
    try {
      certificates.push(new X509Certificate(block.text));
    } catch {
      return refused(`holds a certificate (number ${i + 1}) that cannot be decoded; copy the file anew`);
    }
  }
  return parsed({ pem: joinBlocks(own), certificates: certificates as Chain['certificates'] });
}

/** The first private key in the text. */
export function readPrivateKey(text: string): Parsed<PrivateKey> {
  const blocks = pemBlocks(text);
  const block = blocks.find(({ label }) => label.endsWith('PRIVATE KEY'));
  if (block === undefined) return refused(describeOther(blocks, 'no private key'));
  // the second is how OpenSSL marked it before PKCS #8
  if (block.label.startsWith('ENCRYPTED') || block.text.includes('Proc-Type: 4,ENCRYPTED')) {
    return refused('holds an encrypted key; write it without a passphrase: openssl pkey -in FILE -out OTHER_FILE');
  }
  try {
    return parsed({ pem: joinBlocks([block]), object: createPrivateKey(block.text) });
  } catch {
    return refused('holds a private key that cannot be decoded; copy the file anew');
  }
}

/** Whether a text holds this, for telling files that were swapped. */
export function holdsPem(text: string, suffix: 'CERTIFICATE' | 'PRIVATE KEY'): boolean {
  return pemBlocks(text).some(({ label }) => label.endsWith(suffix));
}

/** Why no TLS server can be made of the two, or null: it was tried. */
export function unusableReason({ pem }: Chain, key: PrivateKey): string | null {
  const { asymmetricKeyType: type = 'unknown' } = key.object;
  if (UNFIT_KEY_TYPES.includes(type))
    return `has a key of type ${type}, with which no TLS client is served; ${MAKE_ONE}`;
  try {
    tls.createSecureContext({ cert: pem, key: key.pem });
    return null;
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (code === 'ERR_SSL_EE_KEY_TOO_SMALL') return `has too weak a key (${describeKey(key.object)}); ${MAKE_ONE}`;
    if (code === 'ERR_SSL_CA_KEY_TOO_SMALL') return `holds an issuer with too weak a key; ${ASK_ANOTHER}`;
    if (/^ERR_SSL_(?:EE|CA)_MD_TOO_WEAK$/.test(code)) return `is signed with too weak a digest; ${ASK_ANOTHER}`;
    return `cannot be used for TLS: ${message}; make the certificate and its key anew`;
  }
}

const MAKE_ONE = 'make one of EC P-256, or of RSA with 2048 bits';
const ASK_ANOTHER = 'ask the CA for a chain with RSA keys of 2048 bits or more and SHA-256';

/** The number, from 1, of the first certificate that the one after it did not sign; null where the order is right. */
export function brokenLink({ certificates }: Chain): number | null {
  for (const [i, certificate] of certificates.entries()) {
    const next = certificates[i + 1];
    if (next !== undefined && !certificate.checkIssued(next)) return i + 1;
  }
  return null;
}

/** A date as messages write it. */
export function formatDate(date: Date): string {
  if (Number.isNaN(date.getTime())) return 'a date that cannot be read';
  return `${date.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** The DNS names of its subjectAltName, lower case, each once; those that no SNI can match are left out. */
export function dnsNames(certificate: X509Certificate): string[] {
  // undefined where there is no such extension
  const names = altNames(certificate.subjectAltName ?? '').flatMap(([type, value]) => {
    const name = value.toLowerCase();
    return type === 'DNS' && DNS_NAME.test(name) ? [name] : [];
  });
  return [...new Set(names)];
}

/**
 * `DNS:a.example, IP Address:10.0.0.1, URI:"http://a, b"`: what holds a comma, a quote or worse is written as a JSON
 * string (CVE-2021-44532), so that no value can look like the next entry.
 */
export function altNames(text: string): [type: string, value: string][] {
  const entries: [string, string][] = [];
  for (const [, type = '', quoted, plain = ''] of text.matchAll(
    /(?:^|, )([A-Za-z ]+):(?:[A-Za-z0-9]+:(?="))?(?:("(?:[^"\\]|\\.)*")|([^,"]*))(?=, |$)/gy,
  )) {
    entries.push([type, quoted === undefined ? plain : unquote(quoted)]);
  }
  return entries;
}

function unquote(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return '';
  }
}

/** `rsa, 1024 bits` or `ec, prime192v1`. */
function describeKey({ asymmetricKeyType, asymmetricKeyDetails: details }: KeyObject): string {
  const size = details?.modulusLength === undefined ? details?.namedCurve : `${details.modulusLength} bits`;
  return [asymmetricKeyType, size].filter((part) => part !== undefined).join(', ');
}

/** In linear time. A block that is not closed ends the search. */
function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  for (let start = text.indexOf(BEGIN); start !== -1; start = text.indexOf(BEGIN, start)) {
    const labelEnd = text.indexOf(DASHES, start + BEGIN.length);
    const label = text.slice(start + BEGIN.length, labelEnd);
    const footer = `${DASHES}END ${label}${DASHES}`;
    const end = labelEnd === -1 ? -1 : text.indexOf(footer, labelEnd);
    if (end === -1) break;
    blocks.push({ label, text: text.slice(start, end + footer.length) });
    start = end + footer.length;
  }
  return blocks;
}

function joinBlocks(blocks: readonly PemBlock[]): string {
  return blocks.map(({ text }) => `${text}\n`).join('');
}

function describeOther(blocks: readonly PemBlock[], wanted: string): string {
  const label = blocks[0]?.label;
  if (label === undefined) {
    return `holds ${wanted} in PEM form; name a file with "-----BEGIN ...-----" lines (openssl x509 and pkey write such)`;
  }
  const held = label.endsWith('PRIVATE KEY')
    ? 'a private key'
    : label.endsWith('PUBLIC KEY')
      ? 'a public key'
      : label === 'CERTIFICATE'
        ? 'a certificate'
        : label.toLowerCase();
  return `holds ${held} and ${wanted}; name the file that holds ${wanted.replace(/^no/, 'the')}`;
}
