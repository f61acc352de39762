/** Sites' certificates as files, the listeners that show them, and clients that look at them. Test support. */

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tls from 'node:tls';
import { createAuthority, type Leaf } from '../cluster/certificates.ts';
import { type Lifetime, temporaryFolder } from './harness.ts';

export interface Site {
  readonly folder: string;
  /** What was written last, by name. */
  readonly leaves: ReadonlyMap<string, Leaf>;
  /** A new certificate for NAME.example, in the place of the one before. */
  write(name: string, validTo?: Date): Leaf;
  /** A listener on a free port, as in `listeners`; `more` are further keys of its `tls`. */
  listener(...more: readonly string[]): string;
}

/** Certificates for each of `names` with .example behind it, the first as the default. */
export function newSite(t: Lifetime, names: readonly string[] = ['a'], authority = createAuthority('sites')): Site {
  const folder = temporaryFolder(t);
  const leaves = new Map<string, Leaf>();
  const write = (name: string, validTo?: Date) => {
    const leaf = authority.issue(`/CN=${name}`, { names: [`${name}.example`], ...(validTo && { validTo }) });
    writeFileSync(join(folder, `${name}.crt`), leaf.certificate);
    writeFileSync(join(folder, `${name}.key`), leaf.key);
    leaves.set(name, leaf);
    return leaf;
  };
  for (const name of names) write(name);
  const pairs = names.map((name) => `{cert_file: ${folder}/${name}.crt, key_file: ${folder}/${name}.key}`);
  const listener = (...more: readonly string[]) => {
    const keys = [`certificates: [${pairs.join(', ')}]`, ...more];
    return `{address: "127.0.0.1:0", service: web, tls: {${keys.join(', ')}}}`;
  };
  return { folder, leaves, write, listener };
}

export function fingerprint(leaf: Leaf | undefined): string {
  return new X509Certificate(leaf?.certificate ?? '').fingerprint256;
}

/** A connection whose handshake is done; `own`: a certificate of the client's. */
export async function connectTo(
  { port }: { readonly port: number },
  name: string,
  own: Pick<tls.ConnectionOptions, 'cert' | 'key'> = {},
): Promise<tls.TLSSocket> {
  const servername = `${name}.example`;
  const socket = tls.connect({ host: '127.0.0.1', port, servername, rejectUnauthorized: false, ...own });
  await once(socket, 'secureConnect');
  return socket;
}

/** The certificate that a new client is shown. */
export async function shown(at: { readonly port: number }, name: string): Promise<string | undefined> {
  const socket = await connectTo(at, name);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}
