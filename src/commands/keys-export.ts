/**
 * `stekbal keys export`: writes the ticket keys as nginx, HAProxy or Traffic Server read them. Main thread.
 */

import { Command, Option } from 'commander';
import { AdminClientError } from '../admin/client.ts';
import type { Config } from '../config/config.ts';
import { StartError } from '../control/start-error.ts';
import { type RunningMember, readStoredRing, StoredRingError } from '../control/stored-ring.ts';
import { atsBlocks, EXPORT_FORMATS, type ExportFormat, haproxyLines, nginxFiles } from '../stek/export-formats.ts';
import type { RingKey } from '../stek/key-ring.ts';
import { ask } from './admin-access.ts';
import { loadOrExplain } from './check.ts';
import { removeOtherKeyFiles, writeSecretFile } from './secret-files.ts';
import { isStatus } from './status.ts';

const DESCRIPTION =
  "Write the ticket keys for servers beside stekbal, from the log in this machine's state_dir: key bytes never pass " +
  'the admin API.';
const HELP = `
Run it as the user that the edge runs as, several times a key_update_interval, and after keys rotate and revoke: a
key is staged for an interval before it encrypts, and tickets of one that was not exported by then do not open.

  nginx    --out names a folder of its own, which is there: a file NAME.key a key. Files under such names that are
           of no key any more are removed. Prints the ssl_session_ticket_key lines, in their order.
  haproxy  lines for tls-ticket-keys, to --out FILE or stdout. HAProxy uses the last three: the active key, the
           staged one, and the youngest of those that retire. It takes stekbal's tickets, and stekbal takes its,
           where the configuration has session_id_context: haproxy.
  ats      blocks for ssl.server.ticket_key.filename, to --out FILE or stdout.

Files are replaced whole, by renaming, and are for their owner alone (mode 0600). They are secret: a tmpfs is the
place for them.

Exit code: 0, 1 where there are no keys to be had, 64 for a wrong command line, 78 for a bad configuration.`;

interface ExportOptions {
  readonly config: string;
  readonly format: ExportFormat;
  readonly out?: string;
}

/** The command. It sets process.exitCode: 1 where there are no keys to be had, 78 for a bad configuration. */
export function keysExportCommand(): Command {
  const command = new Command('export')
    .summary('write the keys for nginx, HAProxy or Traffic Server')
    .description(DESCRIPTION)
    .addHelpText('after', HELP)
    .requiredOption('-c, --config <file>', 'the configuration of the edge on this machine')
    .addOption(new Option('-f, --format <format>', 'for whom').choices(EXPORT_FORMATS).makeOptionMandatory())
    .option('-o, --out <path>', 'where to; a folder for nginx');
  return command.action(async (options: ExportOptions) => {
    if (options.format === 'nginx' && options.out === undefined) {
      command.error('error: nginx reads a file a key; name a folder for them with --out');
    }
    if (options.format === 'ats' && options.out === undefined && process.stdout.isTTY) {
      command.error("error: Traffic Server's file is binary, and stdout a terminal; name a file with --out");
    }
    const config = loadOrExplain(options.config, { warnings: false, expired: 'warning' });
    if (config !== null) await exportKeys(config, options);
  });
}

async function exportKeys(config: Config, { format, out }: ExportOptions): Promise<void> {
  try {
    const running = await askRunning(config);
    write(format, readStoredRing(config, running), out);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isOperators = error instanceof StoredRingError || (out !== undefined && code !== undefined);
    if (!isOperators) throw error;
    const why = error instanceof StoredRingError ? error.message : `cannot write to ${out}: ${code}`;
    process.stderr.write(`${why}\n`);
    process.exitCode = 1;
  }
}

function write(format: ExportFormat, keys: readonly RingKey[], out: string | undefined): void {
  if (format === 'nginx') writeNginx(keys, out as string);
  else {
    const data = format === 'haproxy' ? haproxyLines(keys) : atsBlocks(keys);
    if (out === undefined) process.stdout.write(data);
    else writeSecretFile(out, data);
  }
}

/** The lines come last: nginx is never told of a file that is not there. */
function writeNginx(keys: readonly RingKey[], folder: string): void {
  const files = nginxFiles(keys).map(({ name, bytes }) => writeSecretFile(`${folder}/${name}.key`, bytes));
  removeOtherKeyFiles(folder, files);
  process.stdout.write(files.map((file) => `ssl_session_ticket_key ${quoted(file)};\n`).join(''));
}

/** What has the edge committed? Null where nobody says: with a note where the configuration names whom to ask. */
async function askRunning({ admin }: Config): Promise<RunningMember | null> {
  if (admin === null) return null;
  try {
    return (await ask(admin, { path: '/status' }, isStatus)).cluster;
  } catch (error) {
    if (!(error instanceof AdminClientError || error instanceof StartError)) throw error;
    process.stderr.write(`exported as the log has it, which may be behind the cluster: ${error.message}\n`);
    return null;
  }
}

/** For nginx's configuration. */
function quoted(path: string): string {
  return /[\s;{}"'\\#$]/.test(path) ? `"${path.replace(/["\\]/g, '\\$&')}"` : path;
}
