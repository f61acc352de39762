/** What load-requests.ts uses of autocannon 9, which comes without types. */

declare module 'autocannon' {
  import type { EventEmitter } from 'node:events';

  interface Client {
    setHeaders(headers: Readonly<Record<string, string>>): void;
  }

  interface Options {
    readonly url: string;
    readonly connections: number;
    /** Seconds. */
    readonly duration: number;
    /** Milliseconds between two looks at the clock. */
    readonly sampleInt: number;
    readonly method: 'GET' | 'POST';
    readonly body?: Buffer;
    readonly setupClient: (client: Client) => void;
  }

  interface Result {
    readonly '2xx': number;
    readonly non2xx: number;
    /** With those that timed out. */
    readonly errors: number;
    /** Milliseconds. */
    readonly latency: { readonly p50: number; readonly p99: number };
  }

  interface Instance extends EventEmitter, Promise<Result> {
    stop(): void;
  }

  export default function autocannon(options: Options): Instance;
}
