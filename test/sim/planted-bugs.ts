/**
 * Known mistakes, each put into a copy of the production core by replacing a piece of its source, and run through the
 * simulator. One whose piece is not found any more is an error: it would prove nothing.
 */

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type DriverHabits, type RaftConstructor, Simulation } from './simulation.ts';

export interface PlantedBug {
  readonly name: string;
  /** What of the source becomes what. */
  readonly edits: readonly { readonly file: string; readonly from: string; readonly to: string }[];
  readonly habits?: DriverHabits;
}

const CORE = fileURLToPath(new URL('../../src/raft', import.meta.url));

export const PLANTED_BUGS: readonly PlantedBug[] = [
  bug('votes without comparing logs (paper, 5.4.1)', [
    'raft.ts',
    'this.log.isUpToDate(request.lastIndex, request.lastTerm)',
    'true',
  ]),
  bug('votes twice in a term (paper, 5.2)', [
    'raft.ts',
    'this.#vote === request.from || (this.#vote === null && this.#leader === null)',
    'this.#role !== ROLE.leader',
  ]),
  { ...bug('forgets its vote in a crash (paper, figure 2)'), habits: { persistsFirst: true, keepsVote: false } },
  { ...bug('sends before it has persisted'), habits: { persistsFirst: false, keepsVote: true } },
  bug('keeps its own entries where they conflict with the leader (paper, 5.3)', [
    'raft.ts',
    'this.#appendFromLeader(this.log.newOf(entries));',
    'this.#appendFromLeader(entries.filter(({ index }) => index > this.log.lastIndex));',
  ]),
  bug(
    'cuts off what it has when an append of old comes late (paper, 5.3)',
    [
      'raft.ts',
      'this.#appendFromLeader(this.log.newOf(entries));',
      'if (entries.length > 0) this.#appendFromLeader(entries);',
    ],
    ['raft.ts', 'if (previousIndex < this.#commit) {', 'if (previousIndex + entries.length <= this.#commit) {'],
    ['raft.ts', 'if (first.index <= this.#commit) throw', 'if (first.index < this.log.firstIndex) throw'],
  ),
  bug('takes half of the voters for a majority', [
    'membership.ts',
    'return Math.floor(count / 2) + 1;',
    'return Math.max(1, Math.floor(count / 2));',
  ]),
  bug('counts learners towards a majority (thesis, 4.2.1)', [
    'membership.ts',
    'const reached = membership.voters.map(indexOf)',
    'const reached = [...membership.voters, ...membership.learners].map(indexOf)',
  ]),
  bug('begins a membership change before the last is committed (thesis, 4.1)', [
    'raft.ts',
    "if (this.#membershipIndex > this.#commit || !ownTermCommitted) return 'change-pending';",
    'void ownTermCommitted;',
  ]),
  bug('changes several voters at once (thesis, 4.1)', [
    'membership.ts',
    'return isSound && added + removed <= 1;',
    'return isSound && added + removed >= 0;',
  ]),
  bug('makes a snapshot that loses the membership (paper, section 7)', [
    'raft.ts',
    'membership: this.log.membershipAt(index), data };',
    'membership: this.log.snapshot.membership, data };',
  ]),
  bug('believes the commit index beyond what it has compared (paper, figure 2)', [
    'raft.ts',
    'this.#commitUpTo(Math.min(request.commit, agreed));',
    'this.#commitUpTo(this.log.lastIndex);',
  ]),
  bug('goes on leading without word from a majority (thesis, 6.2)', [
    'raft.ts',
    'if (!isMajority(this.#membership, (id) => id === this.id ||',
    'if (false && !isMajority(this.#membership, (id) => id === this.id ||',
  ]),
  bug(
    'takes messages to an earlier incarnation for its own, and answers under that name',
    ['raft.ts', 'if (message.to !== this.id) return;', 'this.#calledAs = message.to;'],
    ['raft.ts', '#messages: Message[] = [];', '#messages: Message[] = [];\n  #calledAs: MemberId | null = null;'],
    [
      'raft.ts',
      '{ from: this.id, term: this.#term, ...draft }',
      '{ from: this.#calledAs ?? this.id, term: this.#term, ...draft }',
    ],
  ),
];

function bug(name: string, ...edits: readonly (readonly [file: string, from: string, to: string])[]): PlantedBug {
  return { name, edits: edits.map(([file, from, to]) => ({ file, from, to })) };
}

/** The core with a bug in it. */
export async function plant(bug: PlantedBug): Promise<{ Raft: RaftConstructor; remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-bug-'));
  cpSync(CORE, folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  for (const { file, from, to } of bug.edits) {
    const source = readFileSync(join(folder, file), 'utf8');
    // by words: the formatter may break a line elsewhere
    const pattern = new RegExp(
      from
        .trim()
        .split(/\s+/)
        .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
        .join('\\s+'),
    );
    if (!pattern.test(source)) throw new Error(`planted bug "${bug.name}": ${file} has no ${from}`);
    writeFileSync(
      join(folder, file),
      source.replace(pattern, () => to),
    );
  }
  const { Raft } = (await import(pathToFileURL(join(folder, 'raft.ts')).href)) as { Raft: RaftConstructor };
  return { Raft, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** The first of `seeds` whose run shows the bug, and how; null where none does. */
export function firstCaught(
  Raft: RaftConstructor,
  bug: PlantedBug,
  seeds: number,
): { seed: number; how: string } | null {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      new Simulation(seed, Raft, bug.habits).run();
    } catch (error) {
      return { seed, how: (error as Error).message };
    }
  }
  return null;
}
