/** The program itself, one listener thread, with Perlbal's cookie. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAIN } from '../measured.ts';
import type { Subject } from './subject.ts';

/** `poolKeys`: further keys of the pool, as YAML in one line. */
export function stekbal(name: string, poolKeys = ''): Subject {
  return {
    name,
    affinity: 'cookie',
    version: () => {
      const file = new URL('../../package.json', import.meta.url);
      return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
    },
    prepare: ({ folder, port, isTls, certificateFile, keyFile, nodes }) => {
      const file = join(folder, 'stekbal.yaml');
      const tls = isTls ? `, tls: {certificates: [{cert_file: ${certificateFile}, key_file: ${keyFile}}]}` : '';
      const addresses = nodes.map((node) => `"127.0.0.1:${node.port}"`).join(', ');
      writeFileSync(
        file,
        `workers: 1
listeners: [{address: "127.0.0.1:${port}", service: s${tls}}]
pools: {p: {nodes: [${addresses}]${poolKeys === '' ? '' : `, ${poolKeys}`}}}
services: {s: {pool: p, affinity: yes}}
`,
      );
      return { program: process.execPath, args: [MAIN, 'run', '-c', file] };
    },
  };
}
