/**
 * Which of a listener's certificates a client is shown, by the server name it asks for. Pure, listener threads.
 */

import type { CertificateSettings } from '../src/boards/listener-task.ts';

/** Certificates that serve the same names side by side. A session resumes within its group alone (RFC 6066 section 3). */
export interface CertificateGroup {
  /** At least one, and at most one of each key type, in the file's order. */
  readonly certificates: readonly CertificateSettings[];
  /** Tells groups apart on every machine of a fleet: made of the names alone. 32 bits. */
  readonly tag: number;
}

export class CertificateGroups {
  /** For clients whose server name matches none. */
  readonly fallback: CertificateGroup;
  readonly #byName = new Map<string, CertificateGroup>();

  /** At least one certificate; the first is the default. */
  constructor(certificates: readonly CertificateSettings[]) {
    const [first] = certificates;
    if (first === undefined) throw new RangeError('a TLS listener has at least one certificate');
    const known = new Map<string, CertificateGroup>();
    this.fallback = groupOf(certificates.filter(canStandFor(first)), certificates, known);
    for (const [name, serving] of byName(certificates)) this.#byName.set(name, groupOf(serving, certificates, known));
  }

  /** The group for `serverName`, in lower case: of that name, else of the wildcard one label above it. */
  find(serverName: string): CertificateGroup {
    const exact = this.#byName.get(serverName);
    if (exact !== undefined) return exact;
    // RFC 9525 section 6.3: a wildcard stands for one label, the leftmost
    const dot = serverName.indexOf('.');
    return (dot > 0 ? this.#byName.get(`*${serverName.slice(dot)}`) : undefined) ?? this.fallback;
  }
}

function byName(certificates: readonly CertificateSettings[]): Map<string, CertificateSettings[]> {
  const serving = new Map<string, CertificateSettings[]>();
  for (const certificate of certificates) {
    for (const name of new Set(certificate.names)) serving.set(name, [...(serving.get(name) ?? []), certificate]);
  }
  return serving;
}

/** A certificate can be shown in the place of `first`: it has all of its names. */
function canStandFor(first: CertificateSettings): (other: CertificateSettings) => boolean {
  return (other) =>
    other === first || (first.names.length > 0 && first.names.every((name) => other.names.includes(name)));
}

/** The one group that the first of each key type of `serving` make. */
function groupOf(
  serving: readonly CertificateSettings[],
  all: readonly CertificateSettings[],
  known: Map<string, CertificateGroup>,
): CertificateGroup {
  const certificates = serving.filter((one, i) => serving.findIndex(({ keyType }) => keyType === one.keyType) === i);
  const identity = certificates.map((one) => all.indexOf(one)).join();
  const group = known.get(identity) ?? { certificates, tag: tagOf(certificates) };
  known.set(identity, group);
  return group;
}

function tagOf(certificates: readonly CertificateSettings[]): number {
  return fnv1a([...new Set(certificates.flatMap(({ names }) => names))].sort().join());
}

/** FNV-1a, 32 bits, as a signed number. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash | 0;
}
