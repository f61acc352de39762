/**
 * Reads the certificates, keys and CAs that the listeners' `tls` names, and reports what is wrong with them where they are
 * named. What was checked is what is used: the text goes into the Config. Works on raw values, so that it can report
 * beside the schema's own errors. Main thread, or the helper's at a reload.
 */

import type { X509Certificate } from 'node:crypto';
import {
  brokenLink,
  type Chain,
  dnsNames,
  formatDate,
  holdsPem,
  type PrivateKey,
  readChain,
  readPrivateKey,
  unusableReason,
} from './certificates.ts';
import type { CertificateConfig } from './config.ts';
import type { DiagnosticList, Severity, SourcePosition } from './diagnostics.ts';
import { readNamedFile, resolvePath } from './files.ts';
import { asList, asMap, type KeyPath, type YamlSource } from './source.ts';
import type { Parsed } from './units.ts';

/** What one listener's `tls` names. */
export interface LoadedTls {
  /** By its place in the list; null: faulty, which was reported. */
  certificates: (CertificateConfig | null)[];
  clientCa: LoadedCa | null;
}

export interface LoadedCa {
  file: string;
  pem: string;
  /** SHA-256, sorted, each once. */
  fingerprints: string[];
}

/** A file that was named, and where. */
interface NamedText {
  key: string;
  at: SourcePosition;
  file: string;
  text: string;
}

const NAMES_SHOWN_MAX = 3;

/** What an expired certificate is; one whose PEM is in force already, a warning. */
export interface Expiry {
  readonly expired: Severity;
  readonly inForce: ReadonlySet<string>;
}

/** By the place of the listener in the list; null: it is plain. */
export function readTls(source: YamlSource, expiry: Expiry, diagnostics: DiagnosticList): (LoadedTls | null)[] {
  return asList(asMap(source.value)?.listeners).map((listener, index) => {
    const tls = asMap(asMap(listener)?.tls);
    if (tls === null) return null;
    const reader = new TlsReader(source, expiry, diagnostics);
    const path = ['listeners', index, 'tls'];
    const certificates = asList(tls.certificates).map((raw, i) =>
      reader.readCertificate([...path, 'certificates', i], asMap(raw) ?? {}, i === 0),
    );
    return { certificates, clientCa: reader.readClientCa([...path, 'client_ca_file'], tls.client_ca_file) };
  });
}

/** Reads what one listener names. */
class TlsReader {
  readonly #source: YamlSource;
  readonly #expiry: Expiry;
  readonly #diagnostics: DiagnosticList;
  /** The line of the certificate that serves a name, by key type and name. */
  readonly #served = new Map<string, number>();
  readonly #now = new Date();

  constructor(source: YamlSource, expiry: Expiry, diagnostics: DiagnosticList) {
    this.#source = source;
    this.#expiry = expiry;
    this.#diagnostics = diagnostics;
  }

  readCertificate(path: KeyPath, raw: Record<string, unknown>, isDefault: boolean): CertificateConfig | null {
    const certificate = this.#readText(path, 'cert_file', raw.cert_file);
    const key = this.#readText(path, 'key_file', raw.key_file);
    if (certificate !== null && key !== null && areSwapped(certificate.text, key.text)) {
      this.#error(certificate, 'holds a private key, and key_file a certificate; swap the two');
      return null;
    }
    const chain = certificate && this.#parse(certificate, readChain);
    const privateKey = key && this.#parse(key, readPrivateKey);
    if (certificate === null || chain === null) return null;
    this.#checkChain(certificate, chain);
    if (key === null || privateKey === null || !this.#fit(certificate, chain, key, privateKey)) return null;
    const loaded = {
      certFile: certificate.file,
      keyFile: key.file,
      cert: chain.pem,
      key: privateKey.pem,
      names: dnsNames(chain.certificates[0]),
      keyType: privateKey.object.asymmetricKeyType ?? 'unknown',
    };
    this.#checkNames(certificate, loaded, isDefault);
    return loaded;
  }

  readClientCa(path: KeyPath, raw: unknown): LoadedCa | null {
    const named = this.#readText(path.slice(0, -1), 'client_ca_file', raw);
    const chain = named && this.#parse(named, readChain);
    if (named === null || chain === null) return null;
    this.#checkCas(named, chain);
    const fingerprints = new Set(chain.certificates.map(({ fingerprint256 }) => fingerprint256));
    return { file: named.file, pem: chain.pem, fingerprints: [...fingerprints].sort() };
  }

  #readText(path: KeyPath, key: string, raw: unknown): NamedText | null {
    const bytes = readNamedFile(this.#source, [...path, key], raw, this.#diagnostics);
    if (bytes === null) return null;
    const file = resolvePath(this.#source, String(raw));
    return { key, at: this.#source.locate([...path, key]), file, text: bytes.toString('latin1') };
  }

  #parse<T>(named: NamedText, parse: (text: string) => Parsed<T>): T | null {
    const result = parse(named.text);
    if (result.ok) return result.value;
    this.#error(named, result.message);
    return null;
  }

  #checkChain(named: NamedText, chain: Chain): void {
    const [own, ...issuers] = chain.certificates;
    this.#checkDates(named, own, this.#severityOf(chain));
    for (const [i, issuer] of issuers.entries()) {
      if (issuer.validToDate >= this.#now) continue;
      const message = `holds an issuer (certificate ${i + 2}) that expired on ${formatDate(issuer.validToDate)}`;
      this.#warn(named, `${message}; write the CA's current one`);
    }
    const broken = brokenLink(chain);
    if (broken === null) return;
    const advice = "write the server's own first, then each one's issuer";
    this.#warn(named, `has certificate ${broken} before one that did not sign it; ${advice}`);
  }

  #checkDates(named: NamedText, { validFromDate, validToDate }: X509Certificate, expired: Severity): void {
    if (validToDate < this.#now) {
      const message = `holds a certificate that expired on ${formatDate(validToDate)}; renew it`;
      this.#diagnostics.report(expired, named.at, sentence(named, message));
    } else if (validFromDate > this.#now) {
      const advice = 'until then clients refuse it; check the clock of this machine, or wait';
      this.#warn(named, `holds a certificate that is valid from ${formatDate(validFromDate)} on; ${advice}`);
    }
  }

  /** Whether a server can show the certificate with this key. */
  #fit(certificate: NamedText, chain: Chain, key: NamedText, privateKey: PrivateKey): boolean {
    const owner = chain.certificates.findIndex((one) => one.checkPrivateKey(privateKey.object));
    if (owner > 0) {
      const message = `holds the certificate of this key as number ${owner + 1}; write it first, then each one's issuer`;
      this.#error(certificate, message);
    } else if (owner < 0) {
      const advice = 'name the key that the certificate was made for';
      this.#error(key, `does not belong to the certificate in ${certificate.file}; ${advice}`);
    }
    if (owner !== 0) return false;
    const reason = unusableReason(chain, privateKey);
    if (reason !== null) this.#error(certificate, reason);
    return reason === null;
  }

  #checkNames(named: NamedText, { names, keyType }: CertificateConfig, isDefault: boolean): void {
    if (names.length === 0 && !isDefault) {
      const advice = 'write it first, as the default, or have one made with a subjectAltName';
      this.#warn(named, `holds a certificate without DNS names, which no SNI chooses; ${advice}`);
    }
    const lines = new Map<number, string[]>();
    for (const name of names) {
      const served = `${keyType} ${name}`;
      const line = this.#served.get(served);
      if (line === undefined) this.#served.set(served, named.at.line);
      else lines.set(line, [...(lines.get(line) ?? []), name]);
    }
    for (const [line, twice] of lines) {
      const advice = 'that one is used; leave one of the two out';
      this.#warn(named, `is for ${showNames(twice)}, as is the certificate on line ${line}: ${advice}`);
    }
  }

  #checkCas(named: NamedText, chain: Chain): void {
    const cas: readonly X509Certificate[] = chain.certificates;
    const current = cas.filter(({ validToDate }) => validToDate >= this.#now);
    // of several, one that was replaced may stay until its last client has another certificate
    const severity = current.length === 0 ? this.#severityOf(chain) : 'warning';
    for (const [i, ca] of cas.entries()) {
      if (!current.includes(ca)) {
        const message = `holds a CA (certificate ${i + 1}) that expired on ${formatDate(ca.validToDate)}`;
        this.#diagnostics.report(severity, named.at, sentence(named, `${message}; write its successor`));
      } else if (!ca.ca) {
        const advice = 'write the certificate of the CA that signed it';
        this.#warn(named, `holds one (certificate ${i + 1}) that is no CA's, and can have signed none; ${advice}`);
      } else if (!ca.checkIssued(ca) && !cas.some((issuer) => ca.checkIssued(issuer))) {
        const advice = 'add it: a chain of certificates has to end in a CA that signed itself';
        this.#warn(named, `holds a CA (certificate ${i + 1}) without the one that signed it; ${advice}`);
      }
    }
  }

  /** What it is that these have expired. */
  #severityOf({ pem }: Chain): Severity {
    return this.#expiry.inForce.has(pem) ? 'warning' : this.#expiry.expired;
  }

  #error(named: NamedText, message: string): void {
    this.#diagnostics.error(named.at, sentence(named, message));
  }

  #warn(named: NamedText, message: string): void {
    this.#diagnostics.warning(named.at, sentence(named, message));
  }
}

function sentence({ key, file }: NamedText, message: string): string {
  return `${key}: ${file} ${message}`;
}

function areSwapped(certificate: string, key: string): boolean {
  return (
    holdsPem(certificate, 'PRIVATE KEY') &&
    !holdsPem(certificate, 'CERTIFICATE') &&
    holdsPem(key, 'CERTIFICATE') &&
    !holdsPem(key, 'PRIVATE KEY')
  );
}

function showNames(names: readonly string[]): string {
  const rest = names.length - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(', ');
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}
