/** Something that went wrong in a soak, as its client or a log has it. Plain data. */

import type { PoolName } from './fault.ts';

export const SYMPTOMS = [
  /** No connection. */
  'refused',
  /** The connection ended before any of the answer. */
  'broken',
  /** It ended within the answer. */
  'truncated',
  /** A tunnel ended. */
  'tunnel-cut',
  '502',
  '503',
  '504',
  /** No answer within the client's patience. */
  'timeout',
  /** Another node than the cookie's. */
  'moved',
  /** A session was offered, and not resumed. */
  'full-handshake',
  /** A command to the admin API failed. */
  'admin',
  /** A line of the log at level error. */
  'error-line',
  /** Bytes, order, status or node are not what they must be: no fault explains that. */
  'wrong',
] as const;
export type Symptom = (typeof SYMPTOMS)[number];

export interface Failure {
  readonly traffic: string;
  readonly symptom: Symptom;
  /** Of the request: what the access log knows it by. */
  readonly id: string;
  readonly edge: number;
  /** Where it was; null where that is not known. */
  readonly node: string | null;
  readonly pool: PoolName | null;
  /** GET or HEAD: sent again where it may be. */
  readonly isSafe: boolean;
  /** The connection had answered a request before. */
  readonly isReused: boolean;
  /** Nodes or connections that it was tried on, as the access log has it; null where that has no line. */
  readonly attempts: number | null;
  /** When the ticket came that was offered; null: none was. */
  readonly ticketMs: number | null;
  /** Who made that ticket. */
  readonly ticketEdge: number | null;
  /** From the last moment at which all was well. */
  readonly fromMs: number;
  readonly atMs: number;
  readonly detail: string;
}
