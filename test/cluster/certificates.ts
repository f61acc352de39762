/**
 * A CA and leaf certificates for tests, written as DER here: no openssl is needed, and a subject can be anything that the
 * form allows, such as string types and orders that no tool would write.
 */

import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CredentialFiles } from '../../src/cluster/credentials.ts';

/** Attribute types by OpenSSL's short names; a dotted OID stands for itself. */
const OIDS: Readonly<Record<string, string>> = {
  CN: '2.5.4.3',
  SN: '2.5.4.4',
  serialNumber: '2.5.4.5',
  C: '2.5.4.6',
  L: '2.5.4.7',
  ST: '2.5.4.8',
  street: '2.5.4.9',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  emailAddress: '1.2.840.113549.1.9.1',
  UID: '0.9.2342.19200300.100.1.1',
  DC: '0.9.2342.19200300.100.1.25',
};

/** [type, value]; bytes are a BMPString's, which is what other than UTF-8 an old CA writes. */
export type Attribute = readonly [type: string, value: string | Buffer];
/** One array for each relative distinguished name, of usually one attribute. */
export type Subject = readonly (readonly Attribute[])[];

export interface Leaf {
  readonly certificate: string;
  readonly key: string;
}

export interface LeafOptions {
  /** Default: an hour ago. */
  readonly validFrom?: Date;
  /** Default: in a day. */
  readonly validTo?: Date;
  /** DNS names, for a subjectAltName. Default: none. */
  readonly names?: readonly string[];
  /** Default: ec. */
  readonly keyType?: 'ec' | 'rsa';
  /** Of an EC key. Default: P-256. */
  readonly curve?: string;
  /** Of an RSA key. Default: 2048. */
  readonly modulusBits?: number;
}

export interface Authority {
  readonly certificate: string;
  issue(subject: Subject | string, options?: LeafOptions | Date): Leaf;
  /** A CA that this one signs for. */
  issueAuthority(name: string, options?: Pick<LeafOptions, 'validTo'>): Authority;
}

export function createAuthority(name = 'test CA'): Authority {
  return newAuthority(name, null, {});
}

/** `parent` null: it signs itself. */
function newAuthority(
  name: string,
  parent: { issuer: Subject; privateKey: KeyObject } | null,
  options: Pick<LeafOptions, 'validTo'>,
): Authority {
  const issuer: Subject = [[['CN', name]]];
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const signedBy = parent ?? { issuer, privateKey };
  return {
    certificate: certificate({
      issuer: signedBy.issuer,
      subject: issuer,
      publicKey,
      signer: signedBy.privateKey,
      isAuthority: true,
      ...options,
    }),
    issueAuthority: (child, childOptions = {}) => newAuthority(child, { issuer, privateKey }, childOptions),
    issue: (subject, options = {}) => {
      const given: LeafOptions = options instanceof Date ? { validTo: options } : options;
      const { keyType, curve: namedCurve = 'P-256', modulusBits = 2048, ...fields } = given;
      const pair =
        keyType === 'rsa'
          ? generateKeyPairSync('rsa', { modulusLength: modulusBits })
          : generateKeyPairSync('ec', { namedCurve });
      return {
        certificate: certificate({
          issuer,
          subject: typeof subject === 'string' ? parseSubject(subject) : subject,
          publicKey: pair.publicKey,
          signer: privateKey,
          isAuthority: false,
          ...fields,
        }),
        key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      };
    },
  };
}

/** Writes what `authorities` and `leaf` are made of as files in `folder`, under names that begin with `name`. */
export function writeCredentials(
  folder: string,
  name: string,
  authorities: readonly Authority[],
  leaf: Leaf,
): CredentialFiles {
  mkdirSync(folder, { recursive: true });
  const files = {
    rootCertFile: join(folder, `${name}-root.pem`),
    serverCertFile: join(folder, `${name}-cert.pem`),
    serverKeyFile: join(folder, `${name}-key.pem`),
  };
  writeFileSync(files.rootCertFile, authorities.map((authority) => authority.certificate).join(''));
  writeFileSync(files.serverCertFile, leaf.certificate);
  writeFileSync(files.serverKeyFile, leaf.key);
  return files;
}

/** From the one-line form, for values without special characters. */
function parseSubject(oneLine: string): Subject {
  return oneLine
    .slice(1)
    .split('/')
    .map((part) => [part.split('=', 2) as [string, string]]);
}

interface CertificateFields {
  readonly issuer: Subject;
  readonly subject: Subject;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly isAuthority: boolean;
  readonly validFrom?: Date;
  readonly validTo?: Date;
  readonly names?: readonly string[];
}

let serial = 0;

/** RFC 5280, section 4.1. */
function certificate(fields: CertificateFields): string {
  const { issuer, subject, publicKey, signer, isAuthority, validFrom, validTo, names = [] } = fields;
  const algorithm = sequence(oid('1.2.840.10045.4.3.2'));
  const [from, to] = [validFrom ?? new Date(Date.now() - 3_600_000), validTo ?? new Date(Date.now() + 86_400_000)];
  serial += 1;
  const body = sequence(
    tlv(0xa0, tlv(0x02, Buffer.from([2]))),
    tlv(0x02, createHash('sha256').update(`${process.pid} ${serial}`).digest().subarray(0, 8).fill(1, 0, 1)),
    algorithm,
    distinguishedName(issuer),
    sequence(utcTime(from), utcTime(to)),
    distinguishedName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(basicConstraints(isAuthority), ...(names.length > 0 ? [alternativeNames(names)] : []))),
  );
  const signature = tlv(0x03, Buffer.concat([Buffer.alloc(1), sign('sha256', body, signer)]));
  const lines =
    sequence(body, algorithm, signature)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n');
}

function basicConstraints(isAuthority: boolean): Buffer {
  const value = isAuthority ? sequence(tlv(0x01, Buffer.from([0xff]))) : sequence();
  return sequence(oid('2.5.29.19'), tlv(0x01, Buffer.from([0xff])), tlv(0x04, value));
}

function alternativeNames(names: readonly string[]): Buffer {
  return sequence(oid('2.5.29.17'), tlv(0x04, sequence(...names.map((name) => tlv(0x82, Buffer.from(name))))));
}

function distinguishedName(subject: Subject): Buffer {
  return sequence(...subject.map((attributes) => tlv(0x31, ...attributes.map(attribute))));
}

function attribute([type, value]: Attribute): Buffer {
  const text = typeof value === 'string' ? tlv(0x0c, Buffer.from(value)) : tlv(0x1e, value);
  return sequence(oid(OIDS[type] ?? type), text);
}

function utcTime(date: Date): Buffer {
  return tlv(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`));
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const base128 = (n: number): number[] => {
    const bytes = [n % 128];
    for (let left = Math.floor(n / 128); left > 0; left = Math.floor(left / 128)) bytes.unshift(128 + (left % 128));
    return bytes;
  };
  return tlv(0x06, Buffer.from([first * 40 + second, ...rest].flatMap(base128)));
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tlv(0x30, ...parts);
}

function tlv(tag: number, ...parts: readonly Buffer[]): Buffer {
  const value = Buffer.concat(parts);
  const { length } = value;
  const long = length < 256 ? [0x81, length] : [0x82, Math.floor(length / 256), length % 256];
  return Buffer.concat([Buffer.from([tag, ...(length < 128 ? [length] : long)]), value]);
}
