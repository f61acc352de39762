/** What every benchmark of the running program has: backends, and the program in front of them. */

import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
