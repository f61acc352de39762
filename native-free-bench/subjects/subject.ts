/** What is measured: a program that can be put in front of the backends. One file a program; the list is in list.ts. */

/** A backend, and the affinity id that its clients bring. */
export interface Node {
  readonly id: string;
  /** On 127.0.0.1. */
  readonly port: number;
}

/** The same for all subjects of a group. */
export interface Setting {
  /** Its own, new: for configuration and what it writes. */
  readonly folder: string;
  /** To listen on, at 127.0.0.1. */
  readonly port: number;
  readonly isTls: boolean;
  /** Of the certificate and the key; both files in one in `pemFile`. */
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly pemFile: string;
  readonly nodes: readonly Node[];
}

/** How a program is started, in the foreground, once its files are written. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

export interface Subject {
  readonly name: string;
  /**
   * 'cookie': a client goes to the node that its cookie names. 'hash': clients with the same cookie go to the same node.
   * 'none': the program has nothing of the kind.
   */
  readonly affinity: 'cookie' | 'hash' | 'none';
  /** How it is set up, where that is not plain. */
  readonly note?: string;
  /** null: it is not installed. */
  version(): string | null;
  /** Writes its configuration into the folder. */
  prepare(setting: Setting): Command;
}

export const COOKIE_NAME = 'X-SERVERID';

/** As a browser sends it: among others. */
export function cookieOf({ id }: Node): string {
  return `theme=dark; ${COOKIE_NAME}=${id}; lang=en`;
}
