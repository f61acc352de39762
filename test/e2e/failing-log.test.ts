/** The program while nobody reads what it writes to stderr, and where its reader has gone. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { hasSystemCalls } from '../../src/control/system-calls.ts';
import { ask } from './cluster-network.ts';
import { get, namedBackend, type Program, simpleConfig, startProgram, temporaryFolder } from './harness.ts';

const skip = hasSystemCalls() ? false : 'this Node has no node:ffi: a write to stderr waits for its reader';
/** Each costs a line of the log: more than the socket, this process and the program hold together. */
const FAULTS = 6_000;

test('a stderr that nobody reads stops neither admin nor requests; lines that were dropped are counted', {
  skip,
}, async (t) => {
  const { program, status, refuse } = await start(t);
  const stderr = program.child.stderr as Readable;
  stderr.pause();
  await refuse(FAULTS);
  assert.equal(await status(), 200);
  assert.equal((await get(program.port)).status, 200);
  stderr.resume();
  // whatever is said next; that there were dropped ones is said as soon as there is room
  const dropped = await program.logged(({ msg }) => msg.startsWith('log lines dropped'));
  assert.ok(Number(dropped.lines) > 0);
  program.child.kill('SIGTERM');
  assert.equal(await program.exited, 0);
  assert.equal(program.log.at(-1)?.msg, 'drained', 'the last line is there');
});

test('a reader of stderr that has gone costs lines alone', { skip }, async (t) => {
  const { program, status, refuse } = await start(t);
  const stderr = program.child.stderr as Readable;
  stderr.destroy();
  await once(stderr, 'close');
  await refuse(20);
  assert.equal(await status(), 200);
  assert.equal((await get(program.port)).status, 200);
  program.child.kill('SIGTERM');
  const [code] = (await once(program.child, 'exit')) as [number];
  assert.equal(code, 0);
});

interface Started {
  readonly program: Program;
  /** Of an answer to GET /healthz. */
  status(): Promise<number>;
  /** Resolves when the program has refused a file with so many faults. */
  refuse(faults: number): Promise<void>;
}

async function start(t: TestContext): Promise<Started> {
  const socket = join(temporaryFolder(t), 'admin.sock');
  const yaml = simpleConfig([(await namedBackend(t)).address], { top: [`admin: {address: "unix:${socket}"}`] });
  const program = await startProgram(t, yaml);
  return {
    program,
    status: async () => (await ask(socket, 'GET', '/healthz')).status,
    refuse: async (faults) => {
      writeFileSync(program.configFile, yaml + Array.from({ length: faults }, (_, i) => `unknown${i}: 1\n`).join(''));
      assert.equal((await ask(socket, 'POST', '/reload')).status, 422);
    },
  };
}
