/**
 * A Perlbal configuration after its last line: what Perlbal would hold in memory. Main thread of a command.
 */

import type { SourcePosition } from '../diagnostics.ts';

/** What a line said. */
export interface Said {
  readonly value: string;
  readonly at: SourcePosition;
}

export interface PerlbalNode {
  /** `ip:port` as Perlbal hashes it. */
  readonly address: string;
  readonly at: SourcePosition;
  /** How often it stands in a node file, at least 1: so many shares of the clients. */
  readonly weight: number;
}

export interface PerlbalPool {
  readonly name: string;
  readonly at: SourcePosition;
  /** By address, in order. */
  readonly nodes: Map<string, PerlbalNode>;
}

/** A line of the Vhosts or the Vpaths plugin. */
export interface PerlbalRoute {
  /** A host in lower case, or a regular expression for the path. */
  readonly pattern: string;
  readonly target: string;
  readonly at: SourcePosition;
}

export interface PerlbalService {
  readonly name: string;
  readonly at: SourcePosition;
  /** By key in lower case; the last one counts. */
  readonly settings: Map<string, Said>;
  readonly vhosts: PerlbalRoute[];
  readonly vpaths: PerlbalRoute[];
  isEnabled: boolean;
  /** The last line that speaks of it. */
  lastLine: number;
}

/** SessionAffinity's settings, which are the same for all services. */
export interface PerlbalAffinity {
  cookie: Said | null;
  useSalt: Said | null;
  salt: Said | null;
  useDomain: Said | null;
}

/** A whole configuration. */
export interface Perlbal {
  readonly pools: Map<string, PerlbalPool>;
  readonly services: Map<string, PerlbalService>;
  readonly affinity: PerlbalAffinity;
  /** Plugins that were loaded, in lower case. */
  readonly plugins: Set<string>;
}

/** The role, or empty where none was set. */
export function roleOf(service: PerlbalService): string {
  return service.settings.get('role')?.value ?? '';
}
