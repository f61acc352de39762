/**
 * Checks what a health check's keys say of each other.
 * Works on raw values, so that it can report beside the schema's own errors. Main thread.
 */

import type { DiagnosticList } from './diagnostics.ts';
import { HTTP_CHECK_KEYS, INTERVAL_DEFAULT } from './schema-health.ts';
import { asMap, type YamlSource } from './source.ts';
import { formatDuration, parseDuration } from './units.ts';

const ANY_DURATION = { min: 0, max: Number.MAX_SAFE_INTEGER };

/** Reports timeouts that are longer than their interval, and keys without a meaning for the type. */
export function checkHealthChecks(source: YamlSource, diagnostics: DiagnosticList): void {
  for (const [name, pool] of Object.entries(asMap(asMap(source.value)?.pools) ?? {})) {
    const keys = asMap(asMap(pool)?.health_check);
    if (keys === null) continue;
    const path = ['pools', name, 'health_check'];
    // the default of timeout yields, that of interval does not
    const interval = parseDuration(keys.interval ?? INTERVAL_DEFAULT, ANY_DURATION);
    const timeout = parseDuration(keys.timeout ?? 0, ANY_DURATION);
    if (interval.ok && timeout.ok && timeout.value > interval.value) {
      diagnostics.error(
        source.locate([...path, 'timeout']),
        `timeout: one check must be over when the next begins; write at most interval, ${formatDuration(interval.value)}`,
      );
    }
    if (keys.type !== 'tcp') continue;
    for (const key of HTTP_CHECK_KEYS) {
      if (!(key in keys)) continue;
      const advice = 'it has no effect with type: tcp; write type: http, or remove it';
      diagnostics.warning(source.locateKey([...path, key]), `${key}: ${advice}`);
    }
  }
}
