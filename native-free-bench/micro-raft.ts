/**
 * What the consensus core costs a command, without disk and network: a leader of three proposes, both followers append and
 * answer, the leader commits; and the parts of that, the leader's and one follower's. The log is compacted as it grows.
 *
 *   node native-free-bench/micro-raft.ts
 */

import { membership } from '../src/raft/membership.ts';
import { Raft } from '../src/raft/raft.ts';
import { type Message, type RaftOptions, ROLE } from '../src/raft/types.ts';
import { callsOf, type Effort, FULL, interleaved, printFigures, type Sampled } from './figures.ts';

const COMMANDS = 20_000;
const COMMAND_BYTES = 100;
const COMPACT_EVERY = 1_000;
const RESERVED = 5;
const MEMBERS = ['a', 'b', 'c'];
const OPTIONS: Omit<RaftOptions, 'id'> = {
  heartbeatTicks: 1,
  electionTicksMin: 3,
  electionTicksMax: 4,
  inFlightMax: 8,
  batchMax: 16,
  random: () => 0,
};

/** Nanoseconds, of all commands so far. */
interface Spent {
  leader: number;
  follower: number;
}

export async function run(effort: Effort = FULL): Promise<Sampled[]> {
  const commands = callsOf(COMMANDS, effort);
  const spent: Spent = { leader: 0, follower: 0 };
  const group = new Group();
  const round = (part: keyof Spent) => () => {
    spent[part] = 0;
    for (let i = 0; i < commands; i++) group.commit(spent);
    return spent[part] / commands;
  };
  const cases = {
    "a command, the leader's part": round('leader'),
    "a command, one follower's part": round('follower'),
  };
  return interleaved(cases, 'ns', effort);
}

class Group {
  readonly #rafts = MEMBERS.map((id) => {
    const snapshot = { index: 1, term: 1, membership: membership(MEMBERS), data: new Uint8Array() };
    return new Raft({ id, ...OPTIONS }, { hardState: { term: 1, vote: null }, snapshot, entries: [] });
  });
  readonly #data = new Uint8Array(COMMAND_BYTES);

  constructor() {
    const leader = this.#rafts[0] as Raft;
    while (leader.role === ROLE.follower) leader.tick();
    let messages = drive(leader);
    while (messages.length > 0) {
      messages = messages.flatMap((message) => {
        const to = this.#rafts.find(({ id }) => id === message.to) as Raft;
        to.step(message);
        return drive(to);
      });
    }
    if (leader.role !== ROLE.leader) throw new Error('nobody was elected');
  }

  /** One command from its proposal until the followers have applied it, at the leader's word. */
  commit(spent: Spent): void {
    const [leader, ...followers] = this.#rafts as [Raft, Raft, Raft];
    let started = process.hrtime.bigint();
    const index = leader.propose(this.#data);
    leader.tick();
    let appends = drive(leader);
    spent.leader += Number(process.hrtime.bigint() - started);
    while (appends.length > 0) {
      const answers: Message[] = [];
      for (const follower of followers) {
        started = process.hrtime.bigint();
        for (const message of appends) if (message.to === follower.id) follower.step(message);
        answers.push(...drive(follower));
        spent.follower += Number(process.hrtime.bigint() - started) / followers.length;
      }
      started = process.hrtime.bigint();
      for (const message of answers) leader.step(message);
      appends = drive(leader);
      spent.leader += Number(process.hrtime.bigint() - started);
    }
    if (leader.applied !== index) throw new Error('the command was not committed');
    if (leader.applied % COMPACT_EVERY === 0) for (const raft of this.#rafts) raft.compact(this.#data, RESERVED);
  }
}

/** Does what the driver does, and returns what would be sent. */
function drive(raft: Raft): Message[] {
  const sent: Message[] = [];
  while (raft.hasReady()) {
    const ready = raft.ready();
    sent.push(...ready.messages);
    raft.advance(ready);
  }
  return sent;
}

if (import.meta.main) printFigures(await run());
