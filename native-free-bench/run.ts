/**
 * `npm run bench`: what the hot path's parts cost, and what a request, a GiB and a handshake cost the running program, beside
 * every other proxy that is found. README.md says what the figures mean; `--help` lists the options.
 */

import { chmodSync } from 'node:fs';
import { backendId } from '../src/affinity/backend-id.ts';
import { chooseCores } from './cores.ts';
import type { Sampled } from './figures.ts';
import { machine, machineLine } from './machine.ts';
import { type GroupResult, runGroup } from './macro.ts';
import { HELP, type Options, readOptions, UsageError } from './options.ts';
import { temporaryFolder } from './processes.ts';
import { groupText, partText } from './report.ts';
import type { Subject } from './subjects/subject.ts';

const EXIT_USAGE = 2;

const options = optionsOrExit();
const write = (text: string): void => {
  if (!options.isJson) process.stdout.write(text);
};
const progress = (what: string): void => {
  process.stderr.write(`${what}\n`);
};

const before = machine();
const cores = chooseCores();
const versions = new Map(options.subjects.map((subject) => [subject, subject.version()]));
const present = options.subjects.filter(isPresent);
if (options.groups.length > 0 && present.length === 0) usage('none of these subjects is installed');
write(`${machineLine(before)}\n`);
const micro: Record<string, readonly Sampled[]> = {};
for (const { name, title, run } of options.parts) {
  progress(name);
  micro[name] = await run(options.effort);
  write(partText(title, micro[name]));
}
if (options.groups.length > 0) write(aboutMacro());
const macro: Record<string, GroupResult> = {};
const folder = temporaryFolder();
// a subject that root starts may become a lesser user
chmodSync(folder, 0o711);
for (const group of options.groups) {
  const { rounds, seconds, warmUpSeconds } = options;
  const settings = { rounds, seconds, warmUpSeconds, cores, folder, idOf: backendId, progress };
  macro[group.name] = await runGroup(group, present, settings);
  write(groupText(macro[group.name] as GroupResult));
}
if (options.isJson) process.stdout.write(`${JSON.stringify(everything(), null, 2)}\n`);
const hasFailed = Object.values(macro).some(({ rows }) => rows.some(({ faults }) => faults.length > 0));
process.exit(hasFailed ? 1 : 0);

function optionsOrExit(): Options {
  try {
    const read = readOptions(process.argv.slice(2));
    if (read !== null) return read;
    process.stdout.write(HELP);
    process.exit();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return usage(error.message);
  }
}

function usage(message: string): never {
  process.stderr.write(`bench: ${message}\nbench: --help lists the options\n`);
  process.exit(EXIT_USAGE);
}

/** One that was asked for by name must be there. */
function isPresent(subject: Subject): boolean {
  if (versions.get(subject) !== null) return true;
  if (options.isChoice) usage(`${subject.name} is not installed`);
  return false;
}

function aboutMacro(): string {
  const programs = present.map((subject) => `${subject.name} ${versions.get(subject)}`).join(', ');
  const place =
    cores.subject === null
      ? 'Nothing is pinned to a core: one core alone, or no taskset.'
      : `Subject on core ${cores.subject}, load and backends on ${cores.others}.`;
  const { rounds, seconds, subjects } = options;
  const missing = subjects.filter((subject) => versions.get(subject) === null).map(({ name }) => name);
  const absent = missing.length > 0 ? `Not installed: ${missing.join(', ')}.\n` : '';
  return `\n${programs}\n${absent}${place} Medians of ${rounds} rounds of ${seconds} s in turns, least and most.\n`;
}

function everything(): object {
  const { rounds, seconds, warmUpSeconds, effort } = options;
  const subjects = present.map((subject) => {
    const { name, affinity, note = null } = subject;
    return { name, version: versions.get(subject), affinity, note };
  });
  return {
    machine: { ...before, loadAverageAfter: machine().loadAverage },
    node: process.version,
    arguments: process.argv.slice(2),
    options: { rounds, seconds, warmUpSeconds, effort, cores },
    subjects,
    micro,
    macro,
  };
}
