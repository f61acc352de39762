/** The member with its clock, log and connections. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from '../../src/cluster/cluster.ts';
import type { PeeringOptions, Report } from '../../src/cluster/types.ts';
import { ReplicatedState } from '../../src/control/state.ts';
import { temporaryFolder } from '../e2e/harness.ts';
import { createAuthority, writeCredentials } from './certificates.ts';

const SERVERS = [{ serverId: 1, address: '127.0.0.1', port: 1 }];

function newCluster(peering: PeeringOptions, report: Report): Cluster {
  return new Cluster({
    serverId: 1,
    servers: SERVERS,
    timing: { heartbeatMs: 100, electionMinMs: 200, electionMaxMs: 400, proposalTimeoutMs: 3000 },
    reservedEntries: 5,
    snapshotDistance: 5,
    stateDir: null,
    peering,
    stateMachine: new ReplicatedState(),
    report,
  });
}

test('a certificate of its own that cert_verify_str would refuse is said when it starts, and no other', async (t) => {
  const folder = temporaryFolder(t);
  const authority = createAuthority();
  const files = writeCredentials(folder, 'own', [authority], authority.issue('/O=Edge/CN=own'));
  for (const [certVerifyStr, warnings] of [
    ['/O=Edge/CN=other', 1],
    ['/O=Edge/CN=own', 0],
    ['', 0],
  ] as const) {
    const said: object[] = [];
    const peering = { address: '127.0.0.1', port: 0, ...files, certVerifyStr };
    const cluster = newCluster(peering, (level, _message, fields) => level === 'warn' && said.push(fields ?? {}));
    await cluster.start();
    await cluster.stop();
    assert.deepEqual(said, warnings === 0 ? [] : [{ subject: '/O=Edge/CN=own', certVerifyStr }]);
  }
});

test('a reload does not bring in an expired certificate, and one that has expired in force is no reason to refuse the list', async (t) => {
  const folder = temporaryFolder(t);
  const authority = createAuthority();
  const peering = (name: string, validTo?: Date) => {
    const leaf = authority.issue('/O=Edge/CN=own', validTo && { validTo });
    return { address: '127.0.0.1', port: 0, ...writeCredentials(folder, name, [authority], leaf), certVerifyStr: '' };
  };
  const good = peering('good');
  const expired = peering('expired', new Date(Date.now() - 1_000));
  for (const before of [good, expired]) {
    const warned: string[] = [];
    const cluster = newCluster(before, (level, message) => level === 'warn' && warned.push(message));
    await cluster.start();
    t.after(() => cluster.stop());
    const { certificateNotAfterMs } = cluster.status();
    const other = peering('other', new Date(Date.now() - 2_000));
    await assert.rejects(cluster.reload(SERVERS, other), /other-cert\.pem: the certificate has expired/);
    assert.equal(cluster.status().certificateNotAfterMs, certificateNotAfterMs);
    await cluster.reload(SERVERS, before);
    assert.equal(warned.length, before === good ? 0 : 2);
    await cluster.reload(SERVERS, good);
  }
});
