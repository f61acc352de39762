/** Bytes of ticket keys are where they have to be, and nowhere that people or tools look. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TICKET_KEY_BYTES } from '../../src/stek/ticket-key.ts';
import { type ClusterHarness, clusterTest } from './cluster-harness.ts';
import { textOf } from './cluster-network.ts';
import { eventually, runToEnd } from './harness.ts';
import { ticketFleet, tlsListener, tlsPort } from './ticket-fleet.ts';
import { TLS_VERSIONS, visit } from './tls-client.ts';

const dumps = mkdtempSync(join(tmpdir(), 'stekbal-heap-'));
process.on('exit', () => rmSync(dumps, { recursive: true, force: true }));

clusterTest(
  'no byte of a key in a log, an answer of the admin API, a string of the heap, or in clear on the disk',
  ticketFleet({
    servers: 2,
    keyUpdateInterval: 1,
    top: ['log_level: trace'],
    listeners: [tlsListener('ticket_lifetime: 5s')],
    env: { NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${dumps}` },
  }),
  async (_, cluster) => {
    const keys = new Set<string>();
    await cluster.startAll();
    const port = await tlsPort(cluster, 1);
    const answers: string[] = [];
    const gather = async () => {
      for (const key of await exportedKeys(cluster)) keys.add(key);
      for (const version of TLS_VERSIONS) await visit(port, { version });
      for (const path of ['/status', '/keys', '/metrics'])
        answers.push(await textOf(cluster.file(1, 'admin.sock'), path));
      return keys.size > 6;
    };
    await eventually(gather, 'some rotations');
    answers.push(JSON.stringify((await cluster.ask(2, 'POST', '/keys/rotate')).body));
    answers.push(JSON.stringify((await cluster.ask(2, 'POST', '/keys/revoke')).body));
    await gather();
    const snapshot = await heapSnapshot(cluster);
    const disk = [1, 2].flatMap((id) => filesIn(cluster.stateDir(id)));
    const places: [string, string][] = [
      ...[1, 2].map((id): [string, string] => [`the log of ${id}`, cluster.program(id).text()]),
      ['the admin API', answers.join('\n')],
      ['the heap', snapshot],
      ...disk.map((bytes): [string, string] => ['the disk', bytes]),
    ];
    const secrets = [...keys].flatMap((hex) => [hex.slice(32, 64), hex.slice(64)]);
    assert.ok(secrets.length > 12);
    for (const [place, text] of places) {
      assert.ok(text.length > 100, place);
      for (const secret of secrets) {
        for (const form of formsOf(secret)) assert.ok(!text.includes(form), `a part of a key is in ${place}`);
      }
    }
    // what is looked for would be found
    assert.ok(places.some(([, text]) => text.includes([...keys][0]?.slice(0, 8) as string)));
  },
);

/** Hex of the 48 bytes of each key of server 1 now. */
async function exportedKeys(cluster: ClusterHarness): Promise<string[]> {
  const file = cluster.file(1, 'exported.keys');
  const config = cluster.file(1, 'stekbal.yaml');
  const { code, stderr } = await runToEnd(['keys', 'export', '--format', 'ats', '-c', config, '--out', file]);
  assert.equal(code, 0, stderr);
  const bytes = readFileSync(file);
  const count = bytes.length / TICKET_KEY_BYTES;
  return Array.from({ length: count }, (_, i) =>
    bytes.toString('hex', i * TICKET_KEY_BYTES, (i + 1) * TICKET_KEY_BYTES),
  );
}

/** How 16 bytes may be written: the edges of base64 depend on what stands beside them, and are left out. */
function formsOf(hex: string): string[] {
  const bytes = Buffer.from(hex, 'hex');
  const base64 = [0, 1, 2].map((skip) => bytes.subarray(skip, skip + 12).toString('base64'));
  const list = Array.from(bytes.subarray(0, 8)).join(',');
  return [hex, hex.toUpperCase(), ...base64, bytes.toString('latin1'), list, list.replaceAll(',', ', ')];
}

/** The main thread's heap: all strings in it, and no contents of buffers. */
async function heapSnapshot(cluster: ClusterHarness): Promise<string> {
  cluster.program(1).child.kill('SIGUSR2');
  let text = '';
  const isWhole = () => {
    const [name] = readdirSync(dumps);
    text = name === undefined ? '' : readFileSync(join(dumps, name), 'latin1');
    return text.trimEnd().endsWith('}');
  };
  await eventually(isWhole, 'a heap snapshot', 60_000);
  return text;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'));
}
