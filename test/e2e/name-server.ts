/** A DNS server on loopback, and a program that asks it and nobody else: in a mount namespace with a resolv.conf of its own. */

import { spawnSync } from 'node:child_process';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { temporaryFolder } from './harness.ts';

/** The system's resolver asks port 53 alone. */
const PORT = 53;
const ADDRESS = '127.0.0.153';
const TYPE_A = 1;
const NXDOMAIN = 3;

export interface NameServer {
  /** Addresses of a name; 'silent': no answer. What is not here does not exist. */
  readonly names: Map<string, readonly string[] | 'silent'>;
  /** Names that were asked for, once for each question about A. */
  readonly asked: string[];
  /** The command by which a program is run that is to ask this server. */
  readonly by: readonly string[];
}

/** Null where this machine does not allow it, to this user. */
export async function startNameServer(t: TestContext): Promise<NameServer | null> {
  if (spawnSync('unshare', ['-rm', 'true']).status !== 0) return null;
  const socket = dgram.createSocket('udp4');
  t.after(() => socket.close());
  const failed = once(socket, 'error').then(() => false);
  socket.bind(PORT, ADDRESS);
  if (!(await Promise.race([once(socket, 'listening').then(() => true), failed]))) return null;
  const names: NameServer['names'] = new Map();
  const asked: string[] = [];
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = questionOf(query);
    if (type === TYPE_A) asked.push(name);
    const addresses = names.get(name);
    if (addresses !== 'silent') socket.send(answerTo(query.subarray(0, end), type, addresses), port, address);
  });
  const file = join(temporaryFolder(t), 'resolv.conf');
  writeFileSync(file, `nameserver ${ADDRESS}\noptions timeout:30 attempts:1\n`);
  const script = `mount --bind ${file} /etc/resolv.conf && exec "$@"`;
  return { names, asked, by: ['/usr/bin/unshare', '-rm', '/bin/sh', '-c', script, 'sh'] };
}

/** RFC 1035 section 4.1.2. */
function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let i = 12;
  for (let length = query[i] ?? 0; length > 0; length = query[i] ?? 0) {
    labels.push(query.toString('latin1', i + 1, i + 1 + length));
    i += 1 + length;
  }
  return { name: labels.join('.'), type: query.readUInt16BE(i + 1), end: i + 5 };
}

/** Header and question of the query as they came, and an A record for each address. */
function answerTo(question: Buffer, type: number, addresses: readonly string[] | undefined): Buffer {
  const records = type === TYPE_A ? (addresses ?? []) : [];
  const header = Buffer.from(question);
  header.writeUInt16BE(0x8180 | (addresses === undefined ? NXDOMAIN : 0), 2);
  header.writeUInt16BE(records.length, 6);
  header.writeUInt32BE(0, 8);
  // a pointer to the question's name, A, IN, a second, four bytes
  const record = [0xc0, 12, 0, TYPE_A, 0, 1, 0, 0, 0, 1, 0, 4];
  return Buffer.concat([header, ...records.map((a) => Buffer.from([...record, ...a.split('.').map(Number)]))]);
}
