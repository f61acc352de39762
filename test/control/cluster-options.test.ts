/** From the configuration to the cluster's options. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StekShareConfig } from '../../src/config/config.ts';
import { clusterOptions } from '../../src/control/cluster-options.ts';
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
