/** docs/: what they tell their reader to type works, and what the runbook is to hold is there. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { logMessages } from './docs-log-lines.ts';
import { Machines } from './docs-machines.ts';
import { type Run, stepsOf } from './docs-page.ts';
import { eventually, namedBackend, requirePeer } from './harness.ts';

const ROOT = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, ROOT), 'utf8');

test('docs/deploying.md: three edges come up by what it says, a fourth joins and leaves', async (t) => {
  for (const program of ['bash', 'openssl', 'curl']) {
    const isThere = spawnSync(program, ['--version']).error === undefined;
    if (!requirePeer(t, isThere, `${program} is not installed`)) return;
  }
  const backends = await Promise.all([namedBackend(t), namedBackend(t)]);
  const machines = await Machines.create(
    t,
    backends.map(({ address }) => address),
  );
  const done: Run[] = [];
  for (const step of stepsOf(read('docs/deploying.md'))) {
    if (step.kind === 'file') assert.equal(step.text, read(step.path), step.path);
    else if (step.kind === 'run') await follow(machines, step);
    else {
      const again = done.filter(({ machines, section }) => machines.length > 1 && step.sections.includes(section));
      for (const run of again) await follow(machines, { ...run, machines: [step.machine] });
    }
    if (step.kind === 'run') done.push(step);
  }
  assert.ok(done.length > 15, `${done.length} blocks were found`);
});

test('docs/runbook.md has a section for each alert, and for no other', () => {
  const { groups } = parse(read('config/prometheus/alerts.yml')) as { groups: { rules: { alert: string }[] }[] };
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
  const sections = headingsOf('docs/runbook.md').filter((heading) => heading.startsWith('Stekbal'));
  assert.deepEqual(sections, alerts);
});

/** Messages that the source does not name where it logs them, with where they come from. */
const NAMED_ELSEWHERE: Readonly<Record<string, string>> = {
  'src/cluster/refusals.ts: this.#message': 'given by whoever counts refusals, who is looked at',
  'src/cluster/transport.ts: options.report': 'takes the default, which is looked at',
  'src/commands/run.ts: problem': 'what is wrong with the environment; said in full',
  'src/config/diagnostics.ts: at': 'FILE:LINE:COLUMN, no log',
  'src/control/process-warnings.ts: warning.message': "Node's own words",
  'src/control/reloader.ts: warning': 'FILE:LINE:COLUMN',
  'src/control/reloader.ts: error': 'FILE:LINE:COLUMN',
};

test('docs/runbook.md has each line that is logged as a warning or an error', () => {
  const rows = read('docs/runbook.md').split('\n');
  const lines = rows.flatMap((row) => /^\| `(.+?)` \|/.exec(row)?.[1] ?? []);
  const [unknown, known] = [
    logMessages().filter((m) => m.parts.length === 0),
    logMessages().filter((m) => m.parts.length > 0),
  ];
  assert.deepEqual(unknown.map(({ place }) => place).toSorted(), Object.keys(NAMED_ELSEWHERE).toSorted());
  for (const { place, parts } of known)
    assert.ok(
      lines.some((line) => isSaid(line, parts)),
      place,
    );
  const said = [...known.map(({ parts }) => parts), ['refused from a peer']];
  for (const line of lines)
    assert.ok(
      said.some((parts) => isSaid(line, parts)),
      `nobody logs: ${line}`,
    );
});

/** A line that ends in … may leave out the rest. */
function isSaid(line: string, parts: readonly string[]): boolean {
  const shown = line.split('…').map((part) => part.trim());
  const texts = shown.filter((part) => part !== '');
  const last = texts.length - 1;
  return (
    texts.length === parts.length &&
    texts.every((text, i) => text === parts[i] || (i === last && shown.at(-1) === '' && parts[i]?.startsWith(text)))
  );
}

test('what README.md and the pages of docs/ link to is there', () => {
  for (const page of globSync(['README.md', 'docs/*.md'], { cwd: ROOT })) {
    for (const [, path = '', anchor] of read(page).matchAll(/\]\(([^)#:\s]*)(?:#([^)\s]+))?\)/g)) {
      const target = path === '' ? page : posix.join(posix.dirname(page), path);
      assert.ok(existsSync(new URL(target, ROOT)), `${page}: ${target}`);
      if (anchor !== undefined)
        assert.ok(headingsOf(target).map(anchorOf).includes(anchor), `${page}: ${target}#${anchor}`);
    }
  }
});

test('docs/README.md links to every page of docs/', () => {
  for (const page of globSync('docs/*.md', { cwd: ROOT })) {
    const name = posix.basename(page);
    if (name !== 'README.md') assert.ok(read('docs/README.md').includes(`](${name})`), name);
  }
});

function headingsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => heading);
}

/** As GitHub makes them. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');
}

async function follow(machines: Machines, run: Run): Promise<void> {
  const began = performance.now();
  const type = async (machine: string) => {
    let printed = '';
    const attempt = async () => {
      printed = await machines.type(machine, run.script);
      return run.until?.test(printed) !== false;
    };
    try {
      await eventually(attempt, () => `line ${run.line}, on ${machine}: ${run.until}; ${printed}`);
      assert.match(printed, run.prints ?? /^/, `line ${run.line}, on ${machine}`);
    } catch (error) {
      throw new Error(`line ${run.line}, on ${machine}; its log: ${machines.log(machine)}`, { cause: error });
    }
    if (process.env.STEKBAL_TELL !== undefined) process.stdout.write(`--- line ${run.line} on ${machine}\n${printed}`);
  };
  await Promise.all(run.machines.map(type));
  if (process.env.STEKBAL_TELL !== undefined) process.stdout.write(`    ${Math.round(performance.now() - began)} ms\n`);
}
