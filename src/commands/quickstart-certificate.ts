/**
 * A self-signed certificate for the quickstart, made anew at each start and kept in memory alone. Main thread.
 */

import { generate } from 'selfsigned';
import type { CertificateConfig } from '../config/config.ts';

const VALID_MS = 30 * 86_400_000;
const DNS_NAME = 2;
const IP_ADDRESS = 7;

/** For localhost and 127.0.0.1. */
export async function quickstartCertificate(): Promise<CertificateConfig> {
  const altNames = [
    { type: DNS_NAME, value: 'localhost' },
    { type: IP_ADDRESS, ip: '127.0.0.1' },
  ] as const;
  const pem = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    curve: 'P-256',
    notAfterDate: new Date(Date.now() + VALID_MS),
    extensions: [{ name: 'subjectAltName', altNames: [...altNames] }],
  });
  const files = { certFile: 'made by quickstart', keyFile: 'made by quickstart' };
  return { ...files, cert: pem.cert, key: pem.private, names: ['localhost'], keyType: 'ec' };
}
