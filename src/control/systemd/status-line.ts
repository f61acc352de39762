/** What `systemctl status` shows of an edge: one line. Pure, main thread. */

import type { Readiness, ReloadResult } from '../reload-result.ts';
import type { EdgeSummary } from '../status.ts';

/** Of the whole line; a message to the service manager has 4 KiB. */
const BYTES_MAX = 1_000;

/** `serving: 2 workers, 3 of 4 nodes up; leader: server 2, term 5, 2 of 2 peers connected` */
export function statusLine(status: EdgeSummary, readiness: Readiness): string {
  const parts = [`${stateOf(status, readiness)}: ${workersOf(status)}, ${nodesOf(status)}`];
  const group = groupOf(status);
  if (group !== null) parts.push(group);
  if (!status.isDraining && !readiness.isReady) parts.push(readiness.reasons.join(', '));
  return parts.join('; ');
}

/** What a reload left to be said; null where there is nothing. */
export function reloadNote({ isOk, isServed, errors, waiting }: ReloadResult): string | null {
  if (!isOk) {
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    return `reload failed${isServed ? ' in part' : ', nothing was changed'}: ${errors[0] ?? 'see the log'}${more}`;
  }
  return waiting.length > 0 ? `in force after a restart: ${waiting.join(', ')}` : null;
}

/** One line of bounded length: what a file or a peer had to say may hold anything. */
export function singleLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not get through
  const line = text.replace(/[\u0000-\u001f\u007f]+/g, ' ');
  if (Buffer.byteLength(line) <= BYTES_MAX) return line;
  // a character that was cut in two comes back as U+FFFD
  return `${Buffer.from(line)
    .subarray(0, BYTES_MAX)
    .toString()
    .replace(/\ufffd$/, '')}...`;
}

function stateOf({ isDraining }: EdgeSummary, { isReady }: Readiness): string {
  if (isDraining) return 'draining';
  return isReady ? 'serving' : 'not ready';
}

function workersOf({ isDraining, workers }: EdgeSummary): string {
  const serving = workers.list.filter(({ state }) => state === 'serving').length;
  const threads = serving === workers.threads ? '' : `${serving} of `;
  const text = `${threads}${workers.threads} worker${workers.threads === 1 ? '' : 's'}`;
  if (!isDraining) return text;
  const open = workers.list.reduce((sum, { connections }) => sum + connections, 0);
  return `${text}, ${open} connection${open === 1 ? '' : 's'} left`;
}

function nodesOf({ nodeCount, nodesUp }: EdgeSummary): string {
  return `${nodesUp} of ${nodeCount} node${nodeCount === 1 ? '' : 's'} up`;
}

/** Null: an edge without a group leads itself. */
function groupOf({ cluster: { serverId, leader, term, peers } }: EdgeSummary): string | null {
  if (peers.length === 0) return null;
  const connected = peers.filter(({ isConnected }) => isConnected).length;
  const contact = `${connected} of ${peers.length} peers connected`;
  if (leader === null) return `no leader, ${contact}`;
  const who = leader.serverId === serverId ? 'this server' : `server ${leader.serverId}`;
  return `leader: ${who}, term ${term}, ${contact}`;
}
