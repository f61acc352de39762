/** From the configuration to the cluster's options. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ListenerConfig, StekShareConfig, TlsConfig } from '../../src/config/config.ts';
import { clusterOptions, rotationRules } from '../../src/control/cluster-options.ts';
import { ReplicatedState } from '../../src/control/state.ts';

const PARTS = { stateMachine: new ReplicatedState(), report: () => {} };

test("without stek_share an edge is a group of one, in memory, on Traffic Server's timing", () => {
  const { servers, ...rest } = clusterOptions({ stekShare: null, stateDir: '/run/stekbal' }, PARTS);
  assert.deepEqual(rest, {
    ...PARTS,
    serverId: 1,
    timing: { heartbeatMs: 100, electionMinMs: 200, electionMaxMs: 400, proposalTimeoutMs: 3000 },
    reservedEntries: 5,
    snapshotDistance: 5,
    stateDir: null,
    peering: null,
  });
  assert.deepEqual(
    servers.map(({ serverId }) => serverId),
    [1],
  );
});

test('every option of stek_share that the cluster knows is handed on', () => {
  const servers = [
    { serverId: 4, address: '10.0.0.4', port: 1 },
    { serverId: 5, address: '10.0.0.5', port: 1 },
  ];
  const peering = {
    address: '10.0.0.4',
    port: 1,
    rootCertFile: '/root',
    serverCertFile: '/cert',
    serverKeyFile: '/key',
    certVerifyStr: '/CN=x',
  };
  const stekShare: StekShareConfig = {
    ...peering,
    serverId: 4,
    asioThreadPoolSize: 4,
    heartBeatIntervalMs: 11,
    electionTimeoutLowerBoundMs: 12,
    electionTimeoutUpperBoundMs: 13,
    reservedLogItems: 14,
    snapshotDistance: 15,
    clientReqTimeoutMs: 16,
    keyUpdateIntervalMs: 17,
    serverListFile: '/list',
    servers,
  };
  assert.deepEqual(clusterOptions({ stekShare, stateDir: '/run/stekbal' }, PARTS), {
    ...PARTS,
    serverId: 4,
    servers,
    timing: { heartbeatMs: 11, electionMinMs: 12, electionMaxMs: 13, proposalTimeoutMs: 16 },
    reservedEntries: 14,
    snapshotDistance: 15,
    stateDir: '/run/stekbal',
    peering,
  });
});

const HOUR_MS = 3_600_000;

/** Listeners by their ticket lifetimes; null: a plain one. */
function listeners(...lifetimesMs: (number | null)[]): ListenerConfig[] {
  return lifetimesMs.map((ticketLifetimeMs) => {
    const tls = ticketLifetimeMs === null ? null : ({ ticketLifetimeMs } as TlsConfig);
    return { tls } as ListenerConfig;
  });
}

test('without stek_share a key is active for an hour', () => {
  const { intervalMs } = rotationRules({ stekShare: null, listeners: [] });
  assert.equal(intervalMs, HOUR_MS);
});

test('with it for the key_update_interval, and a member that is silent for five elections holds nothing up', () => {
  const stekShare = { keyUpdateIntervalMs: 17_000, electionTimeoutUpperBoundMs: 13 } as StekShareConfig;
  const { intervalMs, silenceMsMax } = rotationRules({ stekShare, listeners: [] });
  assert.deepEqual([intervalMs, silenceMsMax], [17_000, 65]);
});

test('a key opens tickets for the longest lifetime of any listener, for a day where none speaks TLS', () => {
  const cases: [lifetimesMs: (number | null)[], lifetimeMs: number][] = [
    [[], 24 * HOUR_MS],
    [[null], 24 * HOUR_MS],
    [[null, 5], 5],
    [[7, null, 9, 8], 9],
  ];
  for (const [lifetimesMs, expected] of cases) {
    const { lifetimeMs } = rotationRules({ stekShare: null, listeners: listeners(...lifetimesMs) });
    assert.equal(lifetimeMs, expected);
  }
});
