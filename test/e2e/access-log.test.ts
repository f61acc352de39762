import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, existsSync, openSync, readFileSync, readSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  eventually,
  exchange,
  get,
  httpBackend,
  type LogLine,
  MAIN,
  namedBackend,
  runToEnd,
  simpleConfig,
  startSound,
  temporaryFolder,
} from './harness.ts';

type Line = Record<string, unknown>;

function linesOf(file: string): Line[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
}

async function linesOnceThere(file: string, count: number): Promise<Line[]> {
  await eventually(() => linesOf(file).length >= count, `${count} lines in the access log`);
  return linesOf(file);
}

test('a line a request says who asked what, who answered, and how it went', async (t) => {
  const file = join(temporaryFolder(t), 'access.log');
  const backend = await httpBackend(t, (request, response) => {
    request.resume();
    request.on('end', () => response.end('hello'));
  });
  const yaml = simpleConfig([backend.address], { service: ['affinity: yes'], top: [`access_log: ${file}`] });
  const { port } = await startSound(t, yaml);
  const first = await get(port, { path: '/a?b="c"' });
  const cookie = first.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
  await exchange(
    port,
    `POST /p HTTP/1.1\r\nHost: x.example\r\nCookie: ${cookie}\r\nTransfer-Encoding: chunked\r\n\r\n4;e=1\r\nbody\r\n0\r\n\r\n`,
    { isWhole: (r) => r.endsWith('hello') },
  );
  const lines = await linesOnceThere(file, 2);
  const [get1, post] = lines as [Line, Line];
  for (const line of lines) {
    assert.ok(Math.abs(Date.parse(line.time as string) - Date.now()) < 60_000);
    assert.ok((line.durationMs as number) >= 0);
  }
  const { time, durationMs, ...rest } = get1;
  assert.deepEqual(rest, {
    client: '127.0.0.1',
    method: 'GET',
    target: '/a?b="c"',
    protocol: 'HTTP/1.1',
    host: `127.0.0.1:${port}`,
    service: 'web',
    node: backend.address,
    status: 200,
    requestBytes: 0,
    responseBytes: 5,
    attempts: 1,
    affinity: 'set',
    outcome: 'ok',
    reason: '',
  });
  assert.deepEqual([post.method, post.host, post.requestBytes, post.affinity], ['POST', 'x.example', 4, 'hit']);
});

test('refused requests and failed ones are logged with their reason', async (t) => {
  const file = join(temporaryFolder(t), 'access.log');
  const { port } = await startSound(t, simpleConfig(['127.0.0.1:1'], { top: [`access_log: ${file}`] }));
  await get(port);
  await exchange(port, 'GET / HTTP/1.1\r\n\r\n');
  const [failed, malformed] = (await linesOnceThere(file, 2)) as [Line, Line];
  assert.deepEqual([failed.status, failed.outcome, failed.reason], [502, 'refused', 'ECONNREFUSED']);
  const { time, ...rest } = malformed;
  assert.deepEqual(rest, { client: '127.0.0.1', status: 400, outcome: 'refused', reason: 'no Host field' });
});

test('after a rotation SIGHUP opens the file anew, and nothing is lost', async (t) => {
  const file = join(temporaryFolder(t), 'access.log');
  const backend = await httpBackend(t, (_, response) => response.end());
  const yaml = simpleConfig([backend.address], { top: [`access_log: ${file}`], workers: 2 });
  const program = await startSound(t, yaml);
  for (let i = 0; i < 10; i++) await get(program.port);
  renameSync(file, `${file}.1`);
  await program.reload(yaml);
  await eventually(() => existsSync(file), 'a new file');
  for (let i = 0; i < 10; i++) await get(program.port);
  program.child.kill('SIGTERM');
  await program.exited;
  assert.equal(linesOf(file).length + linesOf(`${file}.1`).length, 20);
});

test('what a drain cuts is logged too', async (t) => {
  const file = join(temporaryFolder(t), 'access.log');
  const backend = await httpBackend(t, () => {});
  const yaml = simpleConfig([backend.address], { top: [`access_log: ${file}`, 'drain_timeout: 500ms'] });
  const program = await startSound(t, yaml);
  const accepted = once(backend.server, 'request');
  const hanging = get(program.port).catch(() => null);
  await accepted;
  program.child.kill('SIGTERM');
  assert.equal(await program.exited, 0);
  await hanging;
  const [line] = linesOf(file);
  assert.deepEqual([line?.outcome, line?.status, line?.node], ['aborted', 499, backend.address]);
});

test('run says so where the access log cannot be written', async (t) => {
  const folder = temporaryFolder(t);
  const config = join(folder, 'stekbal.yaml');
  writeFileSync(config, simpleConfig(['127.0.0.1:1'], { top: [`access_log: ${folder}/none/access.log`] }));
  const { code, stderr } = await runToEnd(['run', '-c', config]);
  assert.equal(code, 1);
  assert.match(stderr, /access_log: cannot append to .*\/none\/access\.log: ENOENT/);
});

test('a FIFO that nobody reads is refused, at the start and at a reload, and holds nobody up', async (t) => {
  const folder = temporaryFolder(t);
  const fifo = join(folder, 'access.fifo');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  const yaml = simpleConfig([(await namedBackend(t)).address]);
  const withFifo = `access_log: ${fifo}\n${yaml}`;
  const config = join(folder, 'stekbal.yaml');
  writeFileSync(config, withFifo);
  const { code, stderr } = await runToEnd(['run', '-c', config]);
  assert.equal(code, 1);
  assert.match(stderr, /access_log: cannot append to .*access\.fifo: ENXIO: it is a FIFO that nobody reads/);
  const program = await startSound(t, yaml);
  writeFileSync(program.configFile, withFifo);
  program.child.kill('SIGHUP');
  await program.logged(({ msg }) => msg.startsWith('reload refused'));
  assert.equal((await get(program.port)).status, 200);
});

test('a FIFO with a reader, /dev/stdout as a pipe, and /dev/null can be appended to', async (t) => {
  const folder = temporaryFolder(t);
  const fifo = join(folder, 'access.fifo');
  assert.equal(spawnSync('mkfifo', [fifo]).status, 0);
  const reader = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
  t.after(() => closeSync(reader));
  const backend = await namedBackend(t);
  const yaml = (file: string) => simpleConfig([backend.address], { top: [`access_log: ${file}`] });
  const program = await startSound(t, yaml(fifo));
  await get(program.port);
  await eventually(() => hasBytes(reader), 'a line');
  await program.reload(yaml('/dev/null'));
  assert.equal((await get(program.port)).status, 200);

  const config = join(folder, 'stekbal.yaml');
  writeFileSync(config, yaml('/dev/stdout'));
  const piped = spawn('sh', ['-c', '"$0" "$@" | sed s/^/piped:/', process.execPath, MAIN, 'run', '-c', config]);
  t.after(() => piped.kill('SIGKILL'));
  let said = '';
  piped.stderr.on('data', (chunk) => {
    said += chunk;
  });
  let lines = '';
  piped.stdout.on('data', (chunk) => {
    lines += chunk;
  });
  await eventually(
    () => /"serving".*\n/.test(said),
    () => said,
  );
  const serving = JSON.parse(said.split('\n').find((line) => line.includes('"serving"')) ?? '') as LogLine;
  const [address] = serving.addresses as string[];
  await get(Number(address?.split(':')[1]));
  process.kill(serving.pid as number, 'SIGTERM');
  await once(piped, 'close');
  assert.match(lines, /^piped:\{"time":/);
});

function hasBytes(fd: number): boolean {
  try {
    return readSync(fd, Buffer.alloc(10)) > 0;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'EAGAIN');
    return false;
  }
}
