/** `npm run bench`, as short as can be: that it measures, says what failed, and leaves nothing behind. The figures are not looked at. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Sampled } from '../../native-free-bench/figures.ts';
import { GROUPS, type Group } from '../../native-free-bench/groups.ts';
import { type GroupResult, runGroup } from '../../native-free-bench/macro.ts';
import { PARTS } from '../../native-free-bench/micro.ts';
import { readOptions, UsageError } from '../../native-free-bench/options.ts';
import type { Subject } from '../../native-free-bench/subjects/subject.ts';
import { backendId } from '../../src/affinity/backend-id.ts';
import { eventually, requirePeer, temporaryFolder } from '../e2e/harness.ts';

const RUN = fileURLToPath(new URL('../../native-free-bench/run.ts', import.meta.url));
const hasNginx = spawnSync('nginx', ['-v']).error === undefined;

interface Told {
  readonly machine: Record<string, unknown>;
  readonly subjects: readonly { readonly name: string; readonly version: string }[];
  readonly micro: Record<string, readonly Sampled[]>;
  readonly macro: Record<string, GroupResult>;
}

async function bench(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<{ code: number; stdout: string }> {
  const child = spawn(process.execPath, [RUN, ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, ...env },
  });
  let stdout = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  const [code] = (await once(child, 'close')) as [number];
  return { code, stdout };
}

function assertFigure({ name, value, min, max, rounds }: Sampled): void {
  assert.ok(rounds.length > 0 && rounds.every((one) => one > 0), `${name}: ${rounds.join()}`);
  assert.ok(min <= value && value <= max, name);
}

test('a quick run has a figure of every part, and of a request through each subject', async () => {
  const subjects = ['stekbal', 'node:http', ...(hasNginx ? ['nginx'] : [])];
  const args = ['--json', '--quick', '--only', 'micro,plain', '--subjects', subjects.join()];
  const run = async () => {
    const { code, stdout } = await bench(args);
    assert.equal(code, 0, stdout);
    return JSON.parse(stdout) as Told;
  };
  let told = await run();
  // CPU time is told in ticks of 10 ms: a subject that the machine hardly lets run in its half second may have had none
  const hasNone = () => told.macro.plain?.rows.some(({ figure }) => figure?.rounds.some((one) => !(one > 0)));
  for (let again = 0; again < 3 && hasNone(); again++) told = await run();
  assert.deepEqual(Object.keys(told.machine).sort(), [
    'cores',
    'kernel',
    'loadAverage',
    'loadAverageAfter',
    'processor',
  ]);
  assert.deepEqual(
    told.subjects.map(({ name, version }) => [name, /\d/.test(version)]),
    subjects.map((name) => [name, true]),
  );
  assert.deepEqual(
    Object.keys(told.micro),
    PARTS.map(({ name }) => name),
  );
  for (const figures of Object.values(told.micro)) figures.forEach(assertFigure);
  const { plain } = told.macro as { plain: GroupResult };
  assert.equal(plain.reference, hasNginx ? 'nginx' : 'stekbal');
  for (const { subject, figure, ratio, faults } of plain.rows) {
    assert.deepEqual(faults, [], subject);
    assertFigure(figure as Sampled);
    assert.ok((ratio as number) > 0);
  }
});

test('the bench measures beside nginx where that is installed', (t) => {
  requirePeer(t, hasNginx, 'needs nginx');
});

test('a subject that answers otherwise, or does not start, is said to have failed, and has no figure', async (t) => {
  const subject = (name: string, script: string): Subject => ({
    name,
    affinity: 'none',
    version: () => '1',
    prepare: ({ port }) => ({ program: process.execPath, args: ['-e', script, `${port}`] }),
  });
  const answering =
    "require('node:http').createServer((q, r) => r.writeHead(404).end()).listen(process.argv[1], '127.0.0.1')";
  const subjects = [subject('of 404', answering), subject('short of life', 'throw new Error("no wish to")')];
  const { rows } = await runGroup(GROUPS[0] as Group, subjects, {
    rounds: 1,
    seconds: 0.1,
    warmUpSeconds: 0,
    cores: { subject: null, others: null },
    folder: temporaryFolder(t),
    idOf: backendId,
    progress: () => {},
  });
  assert.deepEqual(
    rows.map(({ figure }) => figure),
    [null, null],
  );
  assert.deepEqual(rows[0]?.faults, ['it answers 404']);
  assert.match(rows[1]?.faults.join() ?? '', /it ended; it said: .*no wish to/s);
});

test('a run that is interrupted ends all that it started and leaves no folder', async (t) => {
  const folder = temporaryFolder(t);
  const child = spawn(process.execPath, [RUN, '--only', 'plain', '--subjects', 'stekbal,node:http', '--warm-up', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, TMPDIR: folder },
  });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  await new Promise<void>((resolve, reject) => {
    child.stderr.on('data', (chunk) => {
      said += chunk;
      if (said.includes('round 1 of')) resolve();
    });
    child.once('exit', () => reject(new Error(said)));
  });
  assert.ok(namesProcess(folder), 'the subjects run');
  child.kill('SIGINT');
  const [code] = await once(child, 'exit');
  assert.equal(code, 130);
  assert.deepEqual(readdirSync(folder), []);
  // SIGKILL has been sent to each: what is left of them ends as the kernel gets to it
  await eventually(() => !namesProcess(folder), 'its processes to end');
});

/** A process has `text` in its command line. */
function namesProcess(text: string): boolean {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.some((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
    } catch {
      return false;
    }
  });
}

test('a wrong option is refused with what there is', () => {
  const wrong: [args: string[], expected: RegExp][] = [
    [['--only', 'plane'], /there is no "plane"; there are .*plain/],
    [['--only', 'plain,plain'], /"plain" stands there twice/],
    [['--subjects', 'apache'], /there is no "apache"; there are stekbal, stekbal-pipelined, nginx/],
    [['--rounds', '0'], /--rounds: a whole number from 1 to 1000, not "0"/],
    [['--rounds', '2.5'], /--rounds: a whole number/],
    [['--seconds', 'long'], /--seconds: a number from 0.1 to 3600, not "long"/],
    [['--warm-up', ''], /--warm-up: a number/],
    [['--micro', '--only', 'plain'], /--micro and --only/],
    [['--fast'], /--fast/],
  ];
  for (const [args, expected] of wrong)
    assert.throws(
      () => readOptions(args),
      (error) => error instanceof UsageError && expected.test(error.message),
      args.join(' '),
    );
});

test('a set stands for its groups, and subjects come in the order asked for', () => {
  const options = readOptions(['--only', 'handshakes,raft', '--subjects', 'nginx,stekbal']);
  assert.deepEqual(
    options?.groups.map(({ name }) => name),
    ['tls12-full', 'tls12-resumed', 'tls13-full', 'tls13-resumed'],
  );
  assert.deepEqual(
    options?.parts.map(({ name }) => name),
    ['raft'],
  );
  assert.deepEqual(
    options?.subjects.map(({ name }) => name),
    ['nginx', 'stekbal'],
  );
  assert.equal(readOptions(['--help']), null);
});
