/** The backends of a soak: a process each, on a port that it finds again when it comes back. */

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { HOST } from '../e2e/cluster-network.ts';
import type { Scope } from '../scope.ts';
import type { BackendMode } from './backend.ts';
import type { PoolName } from './fault.ts';

const PROGRAM = fileURLToPath(new URL('./backend.ts', import.meta.url));

export class SoakBackend {
  readonly address: string;
  readonly pool: PoolName;
  /** What reached it that never should. */
  readonly violations: string[] = [];
  readonly #port: number;
  #child: ChildProcess | null = null;

  constructor(port: number, pool: PoolName, scope: Scope) {
    this.address = `${HOST}:${port}`;
    this.pool = pool;
    this.#port = port;
    scope.after(() => this.kill());
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const;
    // Ctrl-C is for the soak alone
    const child = fork(PROGRAM, [String(this.#port)], { stdio: [...stdio], detached: true });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.on('message', (message: { type: string; what?: string }) => {
        if (message.type === 'listening') resolve();
        else this.violations.push(message.what ?? '');
      });
      child.once('exit', () => reject(new Error(`backend ${this.address} has ended`)));
    });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  pause(): void {
    this.#child?.kill('SIGSTOP');
  }
  resume(): void {
    this.#child?.kill('SIGCONT');
  }

  become(mode: BackendMode): void {
    this.#child?.send(mode);
  }
}
