/**
 * The resumption matrix as text for a terminal. Pure, main thread of a command.
 */

import { joinHostPort, type TlsVersion } from '../config/config.ts';
import type { ProbeResult, ProbeTarget } from '../control/resumption-probe.ts';
import { table } from './table.ts';

/** Of one version and one name. */
export interface Matrix {
  readonly version: TlsVersion;
  readonly serverName: string | null;
  /** `[from][at]`. */
  readonly results: readonly (readonly ProbeResult[])[];
}

export function renderMatrices(targets: readonly ProbeTarget[], matrices: readonly Matrix[]): string {
  const results = matrices.flatMap((matrix) => matrix.results.flat());
  const failed = results.filter(({ outcome }) => outcome !== 'resumed').length;
  const summary = failed === 0 ? `all ${results.length} resumed` : `${failed} of ${results.length} did not resume`;
  const blocks = [...matrices.map((matrix) => matrixLines(targets, matrix)), [summary]];
  return `${blocks.map((lines) => lines.join('\n')).join('\n\n')}\n`;
}

function matrixLines(targets: readonly ProbeTarget[], { version, serverName, results }: Matrix): string[] {
  const heads = targets.map((_, at) => `at ${at + 1}`);
  const rows = targets.map(({ host, port }, from) => {
    return [`${from + 1}  ${joinHostPort(host, port)}`, ...(results[from] ?? []).map(({ outcome }) => outcome)];
  });
  const reasons = new Set(results.flat().flatMap((result) => ('reason' in result ? [result.reason] : [])));
  const name = serverName === null ? 'without SNI' : `for ${serverName}`;
  return [`${version.replace('v', ' ')}, ${name}`, ...table([['ticket from', ...heads], ...rows]), ...reasons];
}
