/**
 * `stekbal verify`: does a TLS session that was begun at one address resume at every other? Main thread.
 */

import { Command, Option } from 'commander';
import { parseServerName, parseTarget } from '../config/addresses.ts';
import type { TlsVersion } from '../config/config.ts';
import { formatDuration, type Parsed, parseDuration } from '../config/units.ts';
import { probeMatrix } from '../control/resumption-matrix.ts';
import { type ProbeTarget, TLS_VERSIONS } from '../control/resumption-probe.ts';
import { argumentOf } from './argument.ts';
import { type Matrix, renderMatrices } from './verify-text.ts';

const HELP = `
Any TLS server will do: stekbal, nginx, HAProxy. Certificates are not checked, and no request is sent.

  resumed      as it should be
  full         the ticket was not taken: a full handshake
  no-ticket    the first address gave none
  unsupported  one of the two does not speak this version of TLS; where that is meant, leave it out with --tls
  failed       no connection, or no handshake; the reason stands below

Exit code: 0 where all resumed, 1 where one did not, 64 for a wrong command line.`;

const TIMEOUT_DEFAULT_MS = 5_000;
const TIMEOUT_RANGE_MS = { min: 100, max: 300_000 };
const VERSION_OF: Readonly<Record<string, TlsVersion>> = { '1.2': 'TLSv1.2', '1.3': 'TLSv1.3' };

interface VerifyOptions {
  readonly servername?: readonly string[];
  readonly tls?: string;
  readonly timeout: number;
  readonly json?: true;
}

/** The command. It sets process.exitCode. */
export function verifyCommand(): Command {
  return new Command('verify')
    .summary('try whether TLS sessions resume from address to address')
    .description('Take a TLS session ticket from each address, offer it at each, and print who resumed.')
    .addHelpText('after', HELP)
    .argument('<host:port...>', 'TLS listeners', collect(parseTarget))
    .option('--servername <name>', 'ask for this name (SNI); once for each name', collect(parseServerName))
    .addOption(new Option('--tls <version>', 'this version alone (default: both)').choices(Object.keys(VERSION_OF)))
    .addOption(
      new Option('--timeout <duration>', 'for each connection')
        .argParser(parseTimeout)
        .default(TIMEOUT_DEFAULT_MS, formatDuration(TIMEOUT_DEFAULT_MS)),
    )
    .option('--json', 'print JSON')
    .action(async (targets: ProbeTarget[], options: VerifyOptions) => {
      const matrices = await probeAll(targets, options);
      const isWell = matrices.every(({ results }) => results.flat().every(({ outcome }) => outcome === 'resumed'));
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(plain(targets, matrices), null, 2)}\n`
          : renderMatrices(targets, matrices),
      );
      process.exitCode = isWell ? 0 : 1;
    });
}

async function probeAll(
  targets: readonly ProbeTarget[],
  { servername: names = [], tls, timeout: timeoutMs }: VerifyOptions,
): Promise<Matrix[]> {
  const versions = tls === undefined ? TLS_VERSIONS : [VERSION_OF[tls] as TlsVersion];
  const matrices: Matrix[] = [];
  for (const serverName of names.length === 0 ? [null] : names) {
    for (const version of versions) {
      const results = await probeMatrix(targets, { version, serverName, timeoutMs });
      matrices.push({ version, serverName, results });
    }
  }
  return matrices;
}

/** A line a probe. */
function plain(targets: readonly ProbeTarget[], matrices: readonly Matrix[]): object[] {
  return matrices.flatMap(({ version, serverName, results }) =>
    results.flatMap((row, from) =>
      row.map((result, at) => ({ protocol: version, serverName, from: targets[from], at: targets[at], ...result })),
    ),
  );
}

/** For commander: reads one more value. */
function collect<T>(parse: (text: string) => Parsed<T>): (text: string, before?: readonly T[]) => T[] {
  return (text, before = []) => [...before, argumentOf(parse(text))];
}

function parseTimeout(text: string): number {
  return argumentOf(parseDuration(text, TIMEOUT_RANGE_MS));
}
