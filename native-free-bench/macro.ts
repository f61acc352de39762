/**
 * One group: backends, all subjects before them, and rounds in turns. CPU time is that of a subject's whole process tree, user
 * and system, within the time that counts; the load and the backends have processes of their own.
 */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { check } from './check.ts';
import type { Cores } from './cores.ts';
import { median, type Sampled, sampled } from './figures.ts';
import { figureOf, type Group, unitOf } from './groups.ts';
import { type Launched, launch, type SharedSetting } from './launch.ts';
import { type Loaded, loadHandshakes, loadRequests } from './load.ts';
import { startBackend, writeCertificate } from './measured.ts';
import { end, signalTree, treeCpuMs } from './processes.ts';
import { OURS, REFERENCE } from './subjects/list.ts';
import { cookieOf, type Node, type Subject } from './subjects/subject.ts';

const NODES = 4;
/** At the beginning of each round. */
const LEAD_MS = 300;

export interface MacroOptions {
  readonly rounds: number;
  readonly seconds: number;
  /** 0: none. */
  readonly warmUpSeconds: number;
  readonly cores: Cores;
  /** Exists. */
  readonly folder: string;
  readonly idOf: (address: string) => string;
  readonly progress: (what: string) => void;
}

export interface Row {
  readonly subject: string;
  /** How it was started; null: it did not start. */
  readonly command: string | null;
  /** null: no round went well. */
  readonly figure: Sampled | null;
  /** To the reference, round by round, the median; null where they have no round in common. */
  readonly ratio: number | null;
  /** Why rounds do not count, or why there are none. */
  readonly faults: readonly string[];
}

export interface GroupResult {
  readonly title: string;
  readonly unit: string;
  /** What the ratios are to. */
  readonly reference: string;
  readonly rows: readonly Row[];
}

interface Runner {
  readonly subject: Subject;
  /** null: it did not start, or has ended. */
  launched: Launched | null;
  command: string | null;
  /** By the number of the round; one that does not count is missing. */
  readonly rounds: Map<number, number>;
  readonly faults: string[];
}

export async function runGroup(
  group: Group,
  subjects: readonly Subject[],
  options: MacroOptions,
): Promise<GroupResult> {
  const folder = join(options.folder, group.name);
  mkdirSync(folder);
  const backend = await startBackend(NODES, options.cores.others);
  const nodes = backend.ports.map((port) => ({ port, id: options.idOf(`127.0.0.1:${port}`) }));
  const setting = { ...certificateIn(folder), folder, isTls: group.isTls, nodes };
  const runners: Runner[] = [];
  try {
    for (const subject of subjects) runners.push(await begin(subject, group, setting, options));
    for (let round = 1; round <= options.rounds; round++) {
      for (const runner of runners) await play(runner, group, nodes, options, round);
    }
  } finally {
    for (const { launched } of runners) if (launched !== null) await end(launched.process);
    await end(backend.process);
  }
  return resultOf(group, runners);
}

function certificateIn(folder: string): Pick<SharedSetting, 'certificateFile' | 'keyFile' | 'pemFile'> {
  writeCertificate(folder);
  const [certificateFile, keyFile, pemFile] = ['a.crt', 'a.key', 'a.pem'].map((name) => join(folder, name));
  return { certificateFile, keyFile, pemFile } as Record<'certificateFile' | 'keyFile' | 'pemFile', string>;
}

/** Starts a subject, checks its answers, warms it up and stops it until its turn. */
async function begin(
  subject: Subject,
  group: Group,
  setting: SharedSetting,
  { cores, progress, warmUpSeconds }: MacroOptions,
): Promise<Runner> {
  const runner: Runner = { subject, launched: null, command: null, rounds: new Map(), faults: [] };
  progress(`${group.name}: starting ${subject.name}`);
  try {
    runner.launched = await launch(subject, setting, cores.subject);
    runner.command = runner.launched.command;
    await check(runner.launched, group, setting.nodes);
    if (warmUpSeconds > 0) await load(runner.launched, group, setting.nodes, warmUpSeconds, cores);
    signalTree(runner.launched.process, 'SIGSTOP');
  } catch (error) {
    await giveUp(runner, error as Error);
  }
  return runner;
}

/** A round that fails does not count, and the subject goes on; one that has ended does not. */
async function play(
  runner: Runner,
  group: Group,
  nodes: readonly Node[],
  { cores, seconds, progress, rounds }: MacroOptions,
  round: number,
): Promise<void> {
  const { launched, subject } = runner;
  if (launched === null) return;
  progress(`${group.name}: round ${round} of ${rounds}, ${subject.name}`);
  signalTree(launched.process, 'SIGCONT');
  try {
    const { cpuMs, done } = await load(launched, group, nodes, seconds, cores);
    runner.rounds.set(round, figureOf(group, cpuMs, done));
  } catch (error) {
    runner.faults.push(`round ${round}: ${(error as Error).message}`);
  }
  if (launched.process.exitCode === null && launched.process.signalCode === null)
    signalTree(launched.process, 'SIGSTOP');
  else await giveUp(runner, new Error(`it ended; it said: ${launched.said()}`));
}

async function giveUp(runner: Runner, { message }: Error): Promise<void> {
  runner.faults.push(message);
  if (runner.launched !== null) await end(runner.launched.process);
  runner.launched = null;
}

function load(
  { port, pid }: Launched,
  group: Group,
  nodes: readonly Node[],
  seconds: number,
  { others }: Cores,
): Promise<Loaded> {
  const [timed, cpu] = [{ leadMs: LEAD_MS, forMs: seconds * 1_000 }, () => treeCpuMs(pid)];
  if (group.kind === 'handshakes') {
    const { version, isResumed, clients } = group;
    return loadHandshakes({ ...timed, port, version, isResumed, clients }, cpu, others);
  }
  const { connections, answerBytes, uploadBytes, isTls } = group;
  const url = `${isTls ? 'https' : 'http'}://127.0.0.1:${port}/${answerBytes}`;
  const cookies = nodes.map(cookieOf);
  return loadRequests({ ...timed, url, connections, answerBytes, uploadBytes, cookies }, cpu, others);
}

function resultOf(group: Group, runners: readonly Runner[]): GroupResult {
  const unit = unitOf(group);
  const roundsOf = (name: string) => runners.find(({ subject }) => subject.name === name)?.rounds ?? new Map();
  const reference = roundsOf(REFERENCE).size > 0 ? REFERENCE : OURS;
  const rows = runners.map(({ subject: { name }, command, rounds, faults }): Row => {
    const figure = rounds.size === 0 ? null : sampled(name, unit, [...rounds.values()]);
    return { subject: name, command, figure, ratio: ratioOf(rounds, roundsOf(reference)), faults };
  });
  return { title: group.title, unit, reference, rows };
}

/** Of rounds that stood side by side: the machine was the same then. */
function ratioOf(rounds: ReadonlyMap<number, number>, others: ReadonlyMap<number, number>): number | null {
  const ratios = [...rounds].flatMap(([round, value]) => {
    const other = others.get(round);
    return other === undefined ? [] : [value / other];
  });
  return ratios.length === 0 ? null : median(ratios);
}
