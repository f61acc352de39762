/**
 * `stekbal check -c FILE`: says everything that is wrong with a configuration file.
 * Main thread.
 */

import { Command } from 'commander';
import type { Config } from '../config/config.ts';
import { formatDiagnostic } from '../config/diagnostics.ts';
import { type LoadOptions, loadConfig } from '../config/load.ts';
import { count } from './count.ts';
import { EX_CONFIG } from './exit-codes.ts';

const HELP = `
Each line is FILE:LINE:COLUMN: what is wrong; what would be right. The files that the configuration names are read too:
certificates and their keys, the server list, the token.

Examples:
  stekbal check -c /etc/stekbal/stekbal.yaml
  stekbal check -q -c stekbal.yaml && stekbal reload

Exit code: 0, also with warnings, 64 for a wrong command line, 78 where there is an error.`;

interface CheckOptions {
  config: string;
  quiet?: true;
}

/** The command. It sets process.exitCode: 0, or 78 when the file has an error. */
export function checkCommand(): Command {
  return new Command('check')
    .description('check a configuration file: exit 0, or 78 with every error')
    .addHelpText('after', HELP)
    .requiredOption('-c, --config <file>', 'the configuration file (YAML)')
    .option('-q, --quiet', 'print errors only: no warnings, no summary')
    .action((options: CheckOptions) => {
      const quiet = options.quiet === true;
      const config = loadOrExplain(options.config, { warnings: !quiet });
      if (config !== null && !quiet) process.stdout.write(`${options.config}: ok (${summarize(config)})\n`);
    });
}

interface ExplainOptions extends LoadOptions {
  /** Whether warnings are printed. Default: yes. */
  readonly warnings?: boolean;
}

/** Loads a file and prints its diagnostics to stderr. Null, and exit code 78 set, when there was an error. */
export function loadOrExplain(file: string, options: ExplainOptions = {}): Config | null {
  const { warnings = true, ...load } = options;
  const { config, diagnostics } = loadConfig(file, load);
  const shown = diagnostics.filter((diagnostic) => warnings || diagnostic.severity === 'error');
  if (shown.length > 0) process.stderr.write(`${shown.map(formatDiagnostic).join('\n')}\n`);
  if (config === null) process.exitCode = EX_CONFIG;
  return config;
}

/** `2 listeners, 1 pool, 3 nodes, 1 service` */
function summarize(config: Config): string {
  const nodes = config.pools.reduce((sum, pool) => sum + pool.nodes.length, 0);
  return [
    count(config.listeners.length, 'listener'),
    count(config.pools.length, 'pool'),
    count(nodes, 'node'),
    count(config.services.length, 'service'),
  ].join(', ');
}
