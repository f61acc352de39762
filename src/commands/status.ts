/**
 * `stekbal status`: asks a running edge's admin API, and prints what it says. Main thread.
 */

import { Command, InvalidArgumentError } from 'commander';
import { AdminClientError, askAdmin } from '../admin/client.ts';
import { readToken } from '../admin/token-file.ts';
import { parseListenAddress } from '../config/addresses.ts';
import type { AdminConfig, ListenAddress } from '../config/config.ts';
import { StartError } from '../control/start-error.ts';
import type { EdgeStatus } from '../control/status.ts';
import { EX_CONFIG, loadOrExplain } from './check.ts';
import { renderStatus } from './status-text.ts';

const ADMIN_DEFAULT: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 9900 };

interface StatusOptions {
  config?: string;
  admin?: ListenAddress;
  tokenFile?: string;
  json?: true;
}

/** The command. It sets process.exitCode: 1 where nothing answers, 78 for a bad configuration. */
export function statusCommand(): Command {
  return new Command('status')
    .description('show the cluster, the pools and their nodes, as a running edge sees them')
    .option('-c, --config <file>', "ask at this configuration's admin address, with its token")
    .option('-a, --admin <address>', 'ask here instead of at 127.0.0.1:9900', parseAdmin)
    .option('--token-file <file>', 'the file that holds the token for --admin')
    .option('--json', 'print JSON')
    .action(async (options: StatusOptions, command: Command) => {
      if (options.config !== undefined && (options.admin ?? options.tokenFile) !== undefined) {
        command.error('error: --config says where to ask; leave out --admin and --token-file');
      }
      const admin = adminOf(options);
      if (admin !== null) await printStatus(admin, options.json === true);
    });
}

function parseAdmin(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (!address.ok) throw new InvalidArgumentError(address.message);
  if (address.value.kind === 'fd') throw new InvalidArgumentError('Write host:port or unix:/path.');
  return address.value;
}

/** Null, with exit code 78 set, where the configuration does not say. */
function adminOf({ config: file, admin, tokenFile }: StatusOptions): AdminConfig | null {
  if (file === undefined) return { address: admin ?? ADMIN_DEFAULT, tokenFile: tokenFile ?? null };
  const config = loadOrExplain(file, { warnings: false });
  if (config === null) return null;
  if (config.admin === null) {
    process.stderr.write(`${file}: the admin API is off; write admin: {address: "127.0.0.1:9900"}, and restart\n`);
    process.exitCode = EX_CONFIG;
  }
  return config.admin;
}

async function printStatus({ address, tokenFile }: AdminConfig, isJson: boolean): Promise<void> {
  try {
    const { status, body } = await askAdmin(address, readToken(tokenFile), '/status');
    if (status !== 200) throw new AdminClientError(`refused with ${status}: ${messageOf(body)}`);
    if (!isStatus(body)) throw new AdminClientError('the answer is not the status of an edge');
    process.stdout.write(isJson ? `${JSON.stringify(body, null, 2)}\n` : renderStatus(body));
  } catch (error) {
    if (!(error instanceof AdminClientError || error instanceof StartError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

function messageOf(body: unknown): string {
  return typeof body === 'object' && body !== null && 'message' in body ? String(body.message) : 'no reason given';
}

/** Enough to tell it from what other programs answer. */
function isStatus(body: unknown): body is EdgeStatus {
  return typeof body === 'object' && body !== null && 'cluster' in body && 'pools' in body;
}
