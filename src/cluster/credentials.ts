/**
 * Who this machine is for its peers, and whom it takes for one: certificates from files, and the check of a peer's subject.
 * Main thread.
 */

import { constants, createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import tls from 'node:tls';

export interface CredentialFiles {
  /** One CA or more, PEM. A peer's certificate must come from one of them. */
  readonly rootCertFile: string;
  /** This machine's certificate, and those between it and the CA if there are any, PEM. */
  readonly serverCertFile: string;
  readonly serverKeyFile: string;
}

export interface Credentials {
  /** For both ends of a connection: a context for the dialling one, its options for the accepting one. */
  readonly context: tls.SecureContext;
  readonly contextOptions: tls.SecureContextOptions;
  /** What a peer's subject must be, in OpenSSL's one-line form; empty: any certificate that a CA of ours signed. */
  readonly certVerifyStr: string;
  /** Our own certificate's, in the same form. */
  readonly subject: string;
  /** When it expires; Unix time. */
  readonly notAfterMs: number;
  readonly privateKey: KeyObject;
}

/** Why a peer is refused; `detail` is for an operator. */
export interface PeerFault {
  readonly reason: 'no-certificate' | 'untrusted-certificate' | 'wrong-subject';
  readonly detail: string;
}

/** Reads the files. Rejects with a message that names the faulty one. */
export async function loadCredentials(files: CredentialFiles, certVerifyStr: string): Promise<Credentials> {
  const { rootCertFile, serverCertFile, serverKeyFile } = files;
  const [root, certificates, key] = await Promise.all([read(rootCertFile), read(serverCertFile), read(serverKeyFile)]);
  readCertificates(root, rootCertFile);
  const [own] = readCertificates(certificates, serverCertFile) as [X509Certificate, ...X509Certificate[]];
  const privateKey = readPrivateKey(key, serverKeyFile);
  if (!own.checkPrivateKey(privateKey)) {
    throw new Error(`${serverKeyFile}: the key does not belong to the certificate in ${serverCertFile}`);
  }
  const contextOptions: tls.SecureContextOptions = {
    ca: root,
    cert: certificates,
    key,
    minVersion: 'TLSv1.3',
    maxVersion: 'TLSv1.3',
    // Sessions are then to be kept by the server, and nobody keeps them: none is ever resumed, so that no check is skipped.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
  const context = createContext(contextOptions, serverCertFile);
  const notAfterMs = own.validToDate.getTime();
  return { context, contextOptions, certVerifyStr, subject: subjectOneLine(own), notAfterMs, privateKey };
}

/** To be asked about every connection, by both ends, before anything is read from it or written to it. */
export function peerFault(credentials: Credentials, socket: tls.TLSSocket): PeerFault | null {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { reason: 'no-certificate', detail: 'it showed no certificate' };
  const isResumed = socket.isSessionReused();
  if (!socket.authorized || isResumed) {
    const detail = isResumed ? 'it resumed a TLS session' : String(socket.authorizationError);
    return { reason: 'untrusted-certificate', detail };
  }
  return subjectFault(certificate, credentials.certVerifyStr);
}

export function subjectFault(certificate: X509Certificate, certVerifyStr: string): PeerFault | null {
  if (certVerifyStr === '') return null;
  const attributes = subjectAttributes(certificate);
  const subject = oneLine(attributes);
  if (attributes.some(({ value }) => AMBIGUOUS.test(value))) {
    return { reason: 'wrong-subject', detail: `${subject}, which can be read in more than one way` };
  }
  return subject === certVerifyStr ? null : { reason: 'wrong-subject', detail: subject };
}

/**
 * The subject as OpenSSL's X509_NAME_oneline writes it: `/C=US/O=Yahoo/CN=localhost`, in the certificate's order. As in
 * `openssl x509 -noout -subject -nameopt compat`, but that text in another encoding than UTF-8 is taken as UTF-8.
 */
export function subjectOneLine(certificate: X509Certificate): string {
  return oneLine(subjectAttributes(certificate));
}

/**
 * X509_NAME_oneline leaves a backslash as it is, so that one before a slash looks like a slash in a value; before OpenSSL
 * 3.0 it did not mark a slash in a value either, which then looked like the next attribute.
 */
const AMBIGUOUS = /\\|[/+][^/+=]*=/;

interface Attribute {
  /** OpenSSL's short name, or a dotted OID. */
  readonly type: string;
  readonly value: string;
  /** Stands in one relative distinguished name with the one before it. */
  readonly isJoined: boolean;
}

/**
 * Node prints an attribute a line, ` + ` between those of one relative distinguished name, and escapes values as RFC 2253
 * does, control characters as two hexadecimal digits: no value holds a line feed, or a plus sign without a backslash.
 */
function subjectAttributes(certificate: X509Certificate): Attribute[] {
  // undefined where there is no subject, or none that can be printed
  const lines = (certificate.subject as string | undefined)?.split('\n') ?? [];
  return lines.flatMap((line) =>
    line.split(' + ').map((text, i) => {
      const end = text.indexOf('=');
      return { type: text.slice(0, end), value: unescape2253(text.slice(end + 1)), isJoined: i > 0 };
    }),
  );
}

function unescape2253(text: string): string {
  return text.replace(/\\(?:([0-9A-F]{2})|(.))/gs, (_, hex: string | undefined, character: string) =>
    hex === undefined ? character : String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function oneLine(attributes: readonly Attribute[]): string {
  return attributes.map(({ type, value, isJoined }) => `${isJoined ? '+' : '/'}${type}=${printable(value)}`).join('');
}

function printable(value: string): string {
  return Array.from(Buffer.from(value), (byte) => {
    if (byte === 0x2f || byte === 0x2b) return `\\${String.fromCharCode(byte)}`;
    if (byte >= 0x20 && byte <= 0x7e) return String.fromCharCode(byte);
    return `\\x${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }).join('');
}

function read(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`${file}: cannot be read (${cause.code})`, { cause });
  });
}

/** At least one. What stands between the certificates is comment. */
function readCertificates(pem: string, file: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs);
  if (blocks === null) throw new Error(`${file}: holds no certificate in PEM form`);
  return blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw new Error(`${file}: certificate ${i + 1} cannot be decoded`, { cause });
    }
  });
}

function readPrivateKey(pem: string, file: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch (cause) {
    const why = /ENCRYPTED/.test(pem)
      ? 'is encrypted; a key without a passphrase is needed'
      : 'is not a key in PEM form';
    throw new Error(`${file}: ${why}`, { cause });
  }
}

function createContext(options: tls.SecureContextOptions, file: string): tls.SecureContext {
  try {
    return tls.createSecureContext(options);
  } catch (cause) {
    throw new Error(`${file}: cannot be used for TLS: ${(cause as Error).message}`, { cause });
  }
}
