/**
 * `stekbal convert FILE`: prints a Perlbal or Traffic Server configuration as stekbal's. Main thread.
 */

import { Command, Option } from 'commander';
import { convert } from '../config/convert/convert.ts';
import { readInput } from '../config/convert/input.ts';
import { CONVERT_KINDS, type ConvertKind } from '../config/convert/kind.ts';
import { formatDiagnostic } from '../config/diagnostics.ts';
import { EX_CONFIG, EXIT_FAILURE } from './exit-codes.ts';

const DESCRIPTION =
  "Read a Perlbal configuration, or the YAML file of Traffic Server's stek_share plugin, and print it as stekbal's. " +
  'What has no counterpart is a warning on stderr that names the line.';
const HELP = `
Relative paths start from the folder of FILE, or from the working folder where it is a pipe, and are absolute in the result.
Perlbal's node files and INCLUDEs are read: 1,024 files, 4 MiB and 200,000 lines at most.

Examples:
  stekbal convert /etc/perlbal/perlbal.conf > stekbal.yaml && stekbal check -c stekbal.yaml
  stekbal convert --from trafficserver - < stek_share.yaml

Exit code: 0 also with warnings, 1 where --strict finds one, 64 for a wrong command line, 78 for a file that is neither.`;

interface ConvertOptions {
  readonly from?: ConvertKind;
  readonly strict?: true;
}

/** The command. It sets process.exitCode. */
export function convertCommand(): Command {
  return new Command('convert')
    .summary('print a Perlbal or Traffic Server configuration as YAML for stekbal')
    .description(DESCRIPTION)
    .addHelpText('after', HELP)
    .argument('<file>', 'the file to read; - is stdin')
    .addOption(new Option('--from <kind>', 'whose file it is (default: as it looks)').choices(CONVERT_KINDS))
    .option('--strict', 'exit with 1 where there was a warning')
    .action((file: string, options: ConvertOptions) => {
      process.exitCode = convertFile(file, options);
    });
}

/** Prints, and returns the exit code. */
function convertFile(file: string, { from, strict }: ConvertOptions): number {
  const input = readInput(file);
  if (!input.ok) {
    process.stderr.write(`${file} ${input.message}; name a configuration of Perlbal's or Traffic Server's\n`);
    return EX_CONFIG;
  }
  const { yaml, diagnostics } = convert(input.value, from ?? null);
  process.stderr.write(diagnostics.map((diagnostic) => `${formatDiagnostic(diagnostic)}\n`).join(''));
  if (yaml === null) return EX_CONFIG;
  process.stdout.write(yaml);
  return strict === true && diagnostics.length > 0 ? EXIT_FAILURE : 0;
}
