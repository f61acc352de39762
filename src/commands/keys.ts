/**
 * `stekbal keys`: shows and changes the ticket keys through a running edge's admin API. Main thread.
 */

import { Command } from 'commander';
import type { KeysStatus } from '../control/status.ts';
import { addAdminOptions, askOrExplain, CHANGE_TIMEOUT_MS } from './admin-access.ts';
import { keysExportCommand } from './keys-export.ts';
import { renderKeys } from './keys-text.ts';

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
}

const VERBS: readonly Verb[] = [
  {
    name: 'list',
    summary: 'show the keys by their ids, with their stages and ages',
    description: 'Show the keys by their ids, with their stages and ages. An id is how a key name begins; no secret.',
    method: 'GET',
    path: '/keys',
  },
  {
    name: 'rotate',
    summary: 'have the next key made active now; costs no session',
    description:
      'Have the next key made active now, on all edges of the cluster, and wait until it is. Sessions go on: the key ' +
      'before it opens tickets until ticket_lifetime has passed.',
    method: 'POST',
    path: '/keys/rotate',
  },
  {
    name: 'revoke',
    summary: 'replace the active key and erase all others: every session ends',
    description:
      'Replace the active key at once and erase all others, on all edges of the cluster: for keys that strangers ' +
      'know. It does not ask whether you are sure, and what it costs is this: no ticket made until now opens any ' +
      'more, so every client makes a full handshake at its next connection, several times the CPU of a resumed one. ' +
      'Connections that are open stay open. An edge that cannot be reached keeps the old keys until it is back.',
    method: 'POST',
    path: '/keys/revoke',
  },
];

/** The command with its subcommands. They set process.exitCode: 1 where it fails, 78 for a bad configuration. */
export function keysCommand(): Command {
  const keys = new Command('keys').description('show, rotate, revoke and export the TLS session ticket keys');
  for (const verb of VERBS) keys.addCommand(verbCommand(verb));
  return keys.addCommand(keysExportCommand());
}

function verbCommand({ name, summary, description, method, path }: Verb): Command {
  const command = new Command(name).summary(summary).description(description);
  return addAdminOptions(command)
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const question = { path, method, ...(method === 'POST' && { timeoutMs: CHANGE_TIMEOUT_MS }) };
      const status = await askOrExplain(command, question, isKeysStatus);
      if (status === null) return;
      process.stdout.write(json === true ? `${JSON.stringify(status, null, 2)}\n` : renderKeys(status, Date.now()));
    });
}

/** Enough to tell it from what other programs answer. */
function isKeysStatus(body: unknown): body is KeysStatus {
  return typeof body === 'object' && body !== null && 'keys' in body && 'isIssuing' in body;
}
