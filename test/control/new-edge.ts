/** An edge of a configuration, its cluster in the test's hands, its log in an array. */

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { Edge, type EdgeOptions } from '../../src/control/edge.ts';
import type { Log } from '../../src/control/log.ts';
import { type Lifetime, type LogLine, temporaryFolder } from '../e2e/harness.ts';
import { FakeCluster } from './fake-cluster.ts';

export function newEdge(
  t: Lifetime,
  yaml: string,
  { joinTimeoutMs, onReload }: Pick<EdgeOptions, 'joinTimeoutMs' | 'onReload'> = {},
) {
  const file = join(temporaryFolder(t), 'stekbal.yaml');
  writeFileSync(file, yaml);
  const { config, diagnostics } = loadConfig(file);
  assert.ok(config, JSON.stringify(diagnostics));
  const { log, lines } = recordingLog();
  let cluster: FakeCluster | null = null;
  const edge = new Edge({
    config: config as Config,
    log,
    version: 'test',
    ...(joinTimeoutMs === undefined ? {} : { joinTimeoutMs }),
    ...(onReload === undefined ? {} : { onReload }),
    createCluster: (options) => {
      cluster = new FakeCluster(options);
      return cluster;
    },
  });
  t.after(() => edge.drain());
  assert.ok(cluster);
  return { edge, cluster: cluster as FakeCluster, log: lines, file };
}

/** A log whose lines can be read. */
export function recordingLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = [];
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(JSON.parse(String(chunk)) as LogLine);
      done();
    },
  });
  return { log: pino({ base: null }, stream), lines };
}
