/**
 * Known mistakes, each put into a copy of the production code by replacing a piece of its source, and run through the
 * simulator. One whose piece is not found any more is an error: it would prove nothing.
 */

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Production } from './production.ts';
import { type Focus, Simulation } from './simulation.ts';

export interface PlantedBug {
  readonly name: string;
  /** The kind of run in which it shows, where it shows in others too rarely. */
  readonly focus?: Focus;
  /** What of the source becomes what. */
  readonly edits: readonly { readonly file: string; readonly from: string; readonly to: string }[];
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const FOLDERS = ['raft', 'cluster', 'stek', 'config', 'control'];
/** What production.ts imports. */
const MODULES = [
  'raft/raft.ts',
  'cluster/member.ts',
  'cluster/member-status.ts',
  'cluster/wal.ts',
  'cluster/memory-storage.ts',
  'control/state.ts',
  'stek/rotator.ts',
];

export const PLANTED_BUGS: readonly PlantedBug[] = [
  bug('votes without comparing logs (paper, 5.4.1)', [
    'raft/raft.ts',
    'this.log.isUpToDate(request.lastIndex, request.lastTerm)',
    'true',
  ]),
  bug('votes twice in a term (paper, 5.2)', [
    'raft/raft.ts',
    'this.#vote === request.from || (this.#vote === null && this.#leader === null)',
    'this.#role !== ROLE.leader',
  ]),
  bug(
    'forgets its vote in a crash (paper, figure 2)',
    [
      'cluster/member.ts',
      'this.#keeper.append({ hardState, entries }',
      'this.#keeper.append({ hardState: hardState && { ...hardState, vote: null }, entries }',
    ],
    ['cluster/member.ts', 'hardState: raft.hardState,', 'hardState: { ...raft.hardState, vote: null },'],
  ),
  bug(
    'sends before it has persisted',
    [
      'cluster/member.ts',
      "for (const message of ready.messages) this.#send(serverOf(message.to), { type: 'raft', cluster, message });",
      '',
    ],
    [
      'cluster/member.ts',
      'const whole = () => this.#wholeState();',
      `const whole = () => this.#wholeState();
       for (const message of ready.messages) {
         this.#send(serverOf(message.to), { type: 'raft', cluster: bond.cluster, message });
       }`,
    ],
  ),
  bug('takes a write for done before it is synced', [
    'cluster/wal.ts',
    'this.#disk.append(record, (error) => this.#end(error ? null : file, error, done));',
    'this.#disk.append(record, (error) => { this.#isBusy = false; if (error) this.#file = null; }); done(null);',
  ]),
  bug('comes back as the same incarnation after it has lost its memory', [
    'cluster/member.ts',
    'this.#id = memberId(options.serverId, ports.randomId());',
    "this.#id = memberId(options.serverId, '0');",
  ]),
  {
    ...bug(
      'commits an entry of an older term by counting (paper, 5.4.2 and figure 8)',
      [
        'raft/raft.ts',
        'if (index <= this.#commit || this.log.termAt(index) !== this.#term) return;',
        'if (index <= this.#commit) return;',
      ],
      ['cluster/limits.ts', 'const BATCH_MAX = 64;', 'const BATCH_MAX = 1;'],
    ),
    focus: { kind: 'gentle', isDuel: true },
  },
  bug('keeps its own entries where they conflict with the leader (paper, 5.3)', [
    'raft/raft.ts',
    'this.#appendFromLeader(this.log.newOf(entries));',
    'this.#appendFromLeader(entries.filter(({ index }) => index > this.log.lastIndex));',
  ]),
  bug(
    'cuts off what it has when an append of old comes late (paper, 5.3)',
    [
      'raft/raft.ts',
      'this.#appendFromLeader(this.log.newOf(entries));',
      'if (entries.length > 0) this.#appendFromLeader(entries);',
    ],
    ['raft/raft.ts', 'if (previousIndex < this.#commit) {', 'if (previousIndex + entries.length <= this.#commit) {'],
    ['raft/raft.ts', 'if (first.index <= this.#commit) throw', 'if (first.index < this.log.firstIndex) throw'],
  ),
  bug('takes for synced what a leader has replaced while it was written', [
    'raft/raft.ts',
    'ready.entries.findLast(({ index, term }) => this.log.termAt(index) === term)',
    'ready.entries.at(-1)',
  ]),
  bug('takes half of the voters for a majority', [
    'raft/membership.ts',
    'return Math.floor(count / 2) + 1;',
    'return Math.max(1, Math.floor(count / 2));',
  ]),
  {
    ...bug('counts learners towards a majority (thesis, 4.2.1)', [
      'raft/membership.ts',
      'const reached = membership.voters.map(indexOf)',
      'const reached = [...membership.voters, ...membership.learners].map(indexOf)',
    ]),
    focus: { kind: 'careless', isDuel: false, hasKeys: false },
  },
  bug('begins a membership change before the last is committed (thesis, 4.1)', [
    'raft/raft.ts',
    "if (this.#membershipIndex > this.#commit || !ownTermCommitted) return 'change-pending';",
    'void ownTermCommitted;',
  ]),
  bug(
    'changes several voters at once (thesis, 4.1)',
    ['raft/membership.ts', 'return isSound && added + removed <= 1;', 'return isSound && added + removed >= 0;'],
    [
      'cluster/admission.ts',
      'return nextOf(steps, view);',
      'return membership([...view.membership.learners, ...view.membership.voters.filter((id) => !view.isSilent(id))]);',
    ],
  ),
  bug('removes a member although the rest lack a majority that answers', [
    'cluster/admission.ts',
    '&& isMajority(next, (id) => !view.isSilent(id))',
    '',
  ]),
  bug('makes a snapshot that loses the membership (paper, section 7)', [
    'raft/raft.ts',
    'membership: this.log.membershipAt(index), data };',
    'membership: this.log.snapshot.membership, data };',
  ]),
  bug('calls a snapshot applied before it is', [
    'raft/raft.ts',
    'this.log.restore(snapshot);',
    'this.log.restore(snapshot); this.#applied = snapshot.index;',
  ]),
  {
    ...bug('does not repeat a probe that says where the logs agree, so that a lost snapshot is never sent again', [
      'raft/raft.ts',
      "if (state === 'probe' || (state === 'replicate' && next <= this.log.lastIndex)) this.#sendAppend(to);",
      "if (state !== 'snapshot' && next <= this.log.lastIndex) this.#sendAppend(to);",
    ]),
    focus: { hasKeys: false },
  },
  bug('believes the commit index beyond what it has compared (paper, figure 2)', [
    'raft/raft.ts',
    'this.#commitUpTo(Math.min(request.commit, agreed));',
    'this.#commitUpTo(this.log.lastIndex);',
  ]),
  bug('goes on leading without word from a majority (thesis, 6.2)', [
    'raft/raft.ts',
    'if (!isMajority(this.#membership, (id) => id === this.id ||',
    'if (false && !isMajority(this.#membership, (id) => id === this.id ||',
  ]),
  bug(
    'takes messages to an earlier incarnation for its own, and answers under that name',
    ['raft/raft.ts', 'if (message.to !== this.id) return;', 'this.#calledAs = message.to;'],
    ['raft/raft.ts', '#messages: Message[] = [];', '#messages: Message[] = [];\n  #calledAs: MemberId | null = null;'],
    [
      'raft/raft.ts',
      '{ from: this.id, term: this.#term, ...draft }',
      '{ from: this.#calledAs ?? this.id, term: this.#term, ...draft }',
    ],
  ),
  {
    ...bug('founds a cluster of those alone that agreed to it, beside one that lives', [
      'cluster/member.ts',
      'members.find((id) => serverOf(id) === s) ?? placeholder(s)).sort();',
      'members.find((id) => serverOf(id) === s) ?? placeholder(s)).filter((id) => members.includes(id)).sort();',
    ]),
    focus: { kind: 'gentle', isDuel: false, hasKeys: false },
  },
  bug(
    'founds a cluster with fewer than a majority',
    [
      'cluster/formation.ts',
      'const isAgreed = listed.filter((server) => round.grants.has(server)).length >= quorum(listed.length);',
      'const isAgreed = true;',
    ],
    ['cluster/formation.ts', 'if (1 + fresh.length < quorum(listed.length)) return false;', ''],
    [
      'cluster/member.ts',
      'members.find((id) => serverOf(id) === s) ?? placeholder(s)).sort();',
      'members.find((id) => serverOf(id) === s) ?? placeholder(s)).filter((id) => members.includes(id)).sort();',
    ],
  ),
  bug('leaves its cluster for lost when a part of it is out of reach', [
    'cluster/formation.ts',
    'if (report === undefined) return listed.includes(server) || !isPatienceOver;',
    'if (report === undefined) return false;',
  ]),
  bug('activates a key without asking the members, and tells them later', [
    'stek/rotation.ts',
    'isDue(view, rules, active) && isHeldByAll(view, rules)',
    'isDue(view, rules, active)',
  ]),
  bug('activates a key without asking those that it has not heard of since its election', [
    'stek/rotation.ts',
    '(silentMs ?? ledMs) >= silenceMsMax',
    '(silentMs ?? silenceMsMax) >= silenceMsMax',
  ]),
  {
    ...bug('activates a key without asking the learners', [
      'cluster/member-status.ts',
      'return [...voters, ...learners]',
      'void learners; return [...voters]',
    ]),
    focus: { kind: 'gentle', hasKeys: true },
  },
  bug('leaves the former active key active', [
    'stek/key-ring.ts',
    "return key.stage === 'active' ? { ...key, stage: 'retiring', sinceMs: atMs } : key;",
    'return key;',
  ]),
  bug('issues with the staged key', [
    'stek/rotator.ts',
    'const { active } = this.#ports.ring();',
    'const { staged, active: current } = this.#ports.ring(); const active = staged ?? current;',
  ]),
  {
    ...bug('never stops issuing', [
      'stek/rotator.ts',
      'active !== null && this.ageMs(active) < issuingMsMax(this.rules) ? active : null',
      'void issuingMsMax, active',
    ]),
    focus: { isClockTrue: true, hasKeys: true },
  },
  {
    ...bug('retires a key without waiting for those that are cut off', [
      'stek/rotation.ts',
      'ageMs(key) + activeMs >=',
      'Number.POSITIVE_INFINITY >=',
    ]),
    focus: { isClockTrue: true, hasKeys: true },
  },
  bug('keeps a key in its log that is gone from its ring', [
    'cluster/member.ts',
    'if (this.#apply(cluster, entry)) mustForget = true;',
    'this.#apply(cluster, entry);',
  ]),
  bug('makes a snapshot without the ring', [
    'control/state.ts',
    'this.#ring.toSnapshot()',
    'new KeyRing().toSnapshot()',
  ]),
];

function bug(name: string, ...edits: readonly (readonly [file: string, from: string, to: string])[]): PlantedBug {
  return { name, edits: edits.map(([file, from, to]) => ({ file, from, to })) };
}

/** The production code with a bug in it. */
export async function plant(bug: PlantedBug): Promise<{ code: Production; remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'stekbal-bug-'));
  mkdirSync(join(folder, 'src'));
  for (const name of FOLDERS) cpSync(join(ROOT, 'src', name), join(folder, 'src', name), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  for (const edit of bug.edits) put(folder, bug.name, edit);
  const load = (file: string) => import(pathToFileURL(join(folder, 'src', file)).href);
  const modules = MODULES.map(load);
  const code = Object.assign({}, ...(await Promise.all(modules))) as Production;
  return { code, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

function put(folder: string, name: string, { file, from, to }: PlantedBug['edits'][number]): void {
  const path = join(folder, 'src', file);
  const source = readFileSync(path, 'utf8');
  // by words: the formatter may break a line elsewhere
  const words = from.trim().split(/\s+/);
  const pattern = new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s+'));
  if (!pattern.test(source)) throw new Error(`planted bug "${name}": ${file} has no ${from}`);
  writeFileSync(
    path,
    source.replace(pattern, () => to),
  );
}

/** The first of `seeds` whose run shows the bug, and how; null where none does. */
export function firstCaught(code: Production, seeds: number, focus: Focus = {}): { seed: number; how: string } | null {
  for (let seed = 1; seed <= seeds; seed++) {
    try {
      new Simulation(seed, code, null, focus).run();
    } catch (error) {
      return { seed, how: (error as Error).message };
    }
  }
  return null;
}
