/** The member with its clock, log and connections. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Cluster } from '../../src/cluster/cluster.ts';
import { ReplicatedState } from '../../src/control/state.ts';
import { createAuthority, writeCredentials } from './certificates.ts';

test('a certificate of its own that cert_verify_str would refuse is said when it starts, and no other', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const authority = createAuthority();
  const files = writeCredentials(folder, 'own', [authority], authority.issue('/O=Edge/CN=own'));
  for (const [certVerifyStr, warnings] of [
    ['/O=Edge/CN=other', 1],
    ['/O=Edge/CN=own', 0],
    ['', 0],
  ] as const) {
    const said: object[] = [];
    const cluster = new Cluster({
      serverId: 1,
      servers: [{ serverId: 1, address: '127.0.0.1', port: 1 }],
      timing: { heartbeatMs: 100, electionMinMs: 200, electionMaxMs: 400, proposalTimeoutMs: 3000 },
      reservedEntries: 5,
      snapshotDistance: 5,
      stateDir: null,
      peering: { address: '127.0.0.1', port: 0, ...files, certVerifyStr },
      stateMachine: new ReplicatedState(),
      report: (level, _message, fields) => level === 'warn' && said.push(fields ?? {}),
    });
    await cluster.start();
    await cluster.stop();
    assert.deepEqual(said, warnings === 0 ? [] : [{ subject: '/O=Edge/CN=own', certVerifyStr }]);
  }
});
