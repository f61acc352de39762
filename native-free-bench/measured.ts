/** What every benchmark of the running program has: backends, and the program in front of them. */

import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import tls from 'node:tls';
import { fileURLToPath } from 'node:url';
import { createAuthority } from '../test/cluster/certificates.ts';
import { start } from './processes.ts';

const BACKEND = fileURLToPath(new URL('./backend.ts', import.meta.url));
export const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url));

export interface Backend {
  readonly process: ChildProcess;
  /** Each a node of its own. */
  readonly ports: readonly number[];
  readonly port: number;
}

/** Answers GET /N with N bytes, and says by X-Node which port that was. */
export async function startBackend(nodes = 1, cores: string | null = null): Promise<Backend> {
  const backend = start(process.execPath, [BACKEND, `${nodes}`], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    cores,
  });
  const ports = await new Promise<number[]>((resolve) => backend.once('message', resolve as (p: unknown) => void));
  return { process: backend, ports, port: ports[0] as number };
}

/** For localhost, ECDSA P-256: a.crt and a.key in `folder`, and both in a.pem. */
export function writeCertificate(folder: string): void {
  const { certificate, key } = createAuthority().issue('/CN=localhost', { names: ['localhost'] });
  writeFileSync(join(folder, 'a.crt'), certificate);
  writeFileSync(join(folder, 'a.key'), key);
  writeFileSync(join(folder, 'a.pem'), certificate + key);
}

export interface Measured {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Of its one listener, on 127.0.0.1. */
  readonly port: number;
}

/** Runs `stekbal run` on `file`. Rejects, with its log, where it ends before it serves. */
export async function startMeasured(file: string): Promise<Measured> {
  const program = start(process.execPath, [MAIN, 'run', '-c', file], { stdio: ['ignore', 'inherit', 'pipe'] });
  const port = await new Promise<number>((resolve, reject) => {
    let log = '';
    program.stderr?.on('data', (chunk) => {
      log += chunk;
      const match = /"addresses":\["127\.0\.0\.1:(\d+)"\]/.exec(log);
      if (match) resolve(Number(match[1]));
    });
    program.once('exit', () => reject(new Error(`the program ended:\n${log}`)));
  });
  return { process: program, pid: program.pid as number, port };
}

export type Kind = 'plain' | 'tls';

/** A configuration with one node; with 'tls', of the certificate in `folder`. Returns the file's path. */
export function writeConfig(folder: string, kind: Kind, workers: number, backend: Backend): string {
  const file = join(folder, `${kind}-${workers}.yaml`);
  const secure = kind === 'tls' ? ', tls: {certificates: [{cert_file: a.crt, key_file: a.key}]}' : '';
  writeFileSync(
    file,
    `workers: ${workers}\nlisteners: [{address: "127.0.0.1:0", service: s${secure}}]\n` +
      `pools: {p: {nodes: ["127.0.0.1:${backend.port}"]}}\nservices: {s: {pool: p, affinity: yes}}\n`,
  );
  return file;
}

/** A client's connection, its handshake done. */
export function openClient(kind: Kind, port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1' };
    const socket = kind === 'tls' ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options);
    socket.setNoDelay(true);
    socket.once(kind === 'tls' ? 'secureConnect' : 'connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}
