/** Tells when a proxy has read what other connections have sent it, without a sleep. Test support. */

import net from 'node:net';
import tls from 'node:tls';

export interface BarrierOptions {
  readonly port: number;
  readonly isTls: boolean;
  /** How long a proxy may take to answer a plain request. */
  readonly waitMs: number;
}

/** A connection to the proxy whose requests tell that everything sent before them has been read. */
export class Barrier {
  readonly #options: BarrierOptions;
  #socket: net.Socket | null = null;
  #onData: () => void = () => {};

  constructor(options: BarrierOptions) {
    this.#options = options;
  }

  async pass(): Promise<void> {
    for (let i = 0; i < 2; i++) await this.#ask();
  }

  close(): void {
    this.#socket?.destroy();
  }

  /** Without an answer in time there is none to be had: what the cases did to this proxy is not the barrier's to tell. */
  #ask(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#socket?.destroy();
        this.#socket = null;
        resolve();
      }, this.#options.waitMs);
      this.#onData = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#socket ??= this.#open();
      this.#socket.write('GET /barrier HTTP/1.1\r\nHost: barrier\r\n\r\n');
    });
  }

  #open(): net.Socket {
    const options = { port: this.#options.port, host: '127.0.0.1', noDelay: true };
    const socket = this.#options.isTls ? tls.connect({ ...options, rejectUnauthorized: false }) : net.connect(options);
    socket.on('data', () => this.#onData());
    socket.on('error', () => {});
    socket.once('close', () => {
      if (this.#socket === socket) this.#socket = null;
    });
    return socket;
  }
}
