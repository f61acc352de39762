/** docs/conformance.md: what came of the suite's cases, here and at other programs. Test support. */

import type { Case } from './case.ts';
import type { Outcome } from './runner.ts';
import type { Arrived } from './verdict.ts';
import { answersIn } from './verdict.ts';

/** What became of a case. */
export type Treatment = 'refused' | 'forwarded' | 'malformed' | 'ambiguous' | 'no answer';

export interface PeerResults {
  readonly name: string;
  readonly version: string;
  readonly treatments: ReadonlyMap<Case, { readonly treatment: Treatment; readonly why: string }>;
}

/** What the program does with a case that it passes. */
export function ownTreatment({ expected, halfCloses }: Case): Treatment {
  const isForwarded = expected.refusal.length === 0 && (expected.requests.length > 0 || !halfCloses);
  return isForwarded ? 'forwarded' : 'refused';
}

/** What a proxy did with a case of which nothing was demanded. */
export function treatmentOf(outcome: Outcome, arrived: Arrived | undefined): { treatment: Treatment; why: string } {
  const answers = answersIn(outcome.received);
  const requests = arrived?.requests ?? [];
  const ambiguous = arrived?.ambiguous[0];
  if (ambiguous !== undefined) return { treatment: 'ambiguous', why: ambiguous };
  const malformed = arrived?.malformed[0];
  if (malformed !== undefined) return { treatment: 'malformed', why: '' };
  const read = answers.filter((answer) => answer.read !== '').length;
  const switched = answers.filter((answer) => answer.status === 101).length;
  // an answer to HTTP/0.9 has no head
  const isAnswered = requests.length === read + switched || (outcome.received === '' && outcome.endedEarly);
  if (!isAnswered && !outcome.run.case.halfCloses) {
    return { treatment: 'ambiguous', why: `${requests.length} requests at the backend, ${read + switched} answered` };
  }
  const refusal = answers.find((answer) => answer.read === '' && answer.status !== 101);
  if (refusal !== undefined) return { treatment: 'refused', why: String(refusal.status) };
  if (requests.length > 0) return { treatment: 'forwarded', why: '' };
  return outcome.ended ? { treatment: 'refused', why: 'closed' } : { treatment: 'no answer', why: '' };
}

const TREATMENTS = ['refused', 'forwarded', 'malformed', 'ambiguous', 'no answer'] as const;

/** `passed` counts a group's cases. */
export function ownRow(group: string, cases: readonly Case[], passed: number): string {
  const refused = cases.filter((c) => ownTreatment(c) === 'refused').length;
  return `| ${group} | ${cases.length} | ${passed} | ${refused} / ${cases.length - refused} |`;
}

export function groupsOf(cases: readonly Case[]): Map<string, Case[]> {
  const groups = new Map<string, Case[]>();
  for (const c of cases) groups.set(c.group, [...(groups.get(c.group) ?? []), c]);
  return groups;
}

function counts(cases: readonly Case[], { treatments }: PeerResults): string {
  return TREATMENTS.map((one) => cases.filter((c) => treatments.get(c)?.treatment === one).length).join(' / ');
}

/** The whole page; all `cases` have passed. */
export function renderPage(cases: readonly Case[], peers: readonly PeerResults[]): string {
  const head = ['group', 'cases', 'passed', 'refused / forwarded', ...peers.map((p) => `${p.name} ${p.version}`)];
  const rows = [...groupsOf(cases)].map(
    ([group, own]) => `${ownRow(group, own, own.length)} ${peers.map((p) => `${counts(own, p)} |`).join(' ')}`,
  );
  const all = `${ownRow('**all**', cases, cases.length)} ${peers.map((p) => `${counts(cases, p)} |`).join(' ')}`;
  const table = [`| ${head.join(' | ')} |`, `| ${head.map(() => '---').join(' | ')} |`, ...rows, all].join('\n');
  return `${INTRODUCTION}\n${table}\n${peers.map((p) => differences(cases, p)).join('')}`;
}

function differences(cases: readonly Case[], peer: PeerResults): string {
  const parts: string[] = [];
  const add = (title: string, chosen: (own: Treatment, theirs: Treatment) => boolean) => {
    const lines = [...groupsOf(cases)].flatMap(([group, own]) => {
      const names = own.filter((c) => chosen(ownTreatment(c), peer.treatments.get(c)?.treatment as Treatment));
      return names.length === 0 ? [] : wrapped(`- ${group}: ${names.map((c) => shown(c, peer)).join('; ')}.`);
    });
    if (lines.length > 0) parts.push(`\n${title}\n\n${lines.join('\n')}\n`);
  };
  add('Forwarded in more than one meaning:', (_, theirs) => theirs === 'ambiguous');
  add('Forwarded though it is malformed:', (_, theirs) => theirs === 'malformed');
  add(
    'Forwarded in one meaning, and refused by stekbal:',
    (own, theirs) => own === 'refused' && theirs === 'forwarded',
  );
  add('Refused, and forwarded by stekbal:', (own, theirs) => own === 'forwarded' && theirs === 'refused');
  add('Not answered while the connection stays open:', (_, theirs) => theirs === 'no answer');
  return `\n## ${peer.name} ${peer.version}\n${parts.join('')}`;
}

function shown(c: Case, { treatments }: PeerResults): string {
  const { treatment, why } = treatments.get(c) as { treatment: Treatment; why: string };
  const name = c.name.replaceAll(/[\\`*_[\]<>|]/g, '\\$&');
  return treatment === 'ambiguous' ? `${name} (${why.replaceAll(/[\\`*_[\]<>|]/g, '\\$&')})` : name;
}

/** In lines of the page's width, the later ones indented as a list's item. */
function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > 125) {
      lines.push(line);
      line = `  ${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

const INTRODUCTION = `# HTTP/1.1 conformance

<!-- Made by test/e2e/conformance/conformance.test.ts: STEKBAL_RECORD=1, and read the difference. -->

What clients may send, and what stekbal makes of it: each case is raw bytes on one connection to the running program, with a
backend that records raw bytes. It passes where the bytes are refused with the right status and a closed connection, or where
the backend reads exactly the requests that it must, and all of these agree on them:

- a strict reader that shares nothing with the program's, and Node's own parser;
- lenient readings, as servers in the wild have them: Content-Length wins, or Transfer-Encoding does, exact or obfuscated;
  the first or the last of several lengths; numbers with signs, white space, \`0x\`, or 32 bits; a bare LF or CR ends a line;
  folded lines are joined, or lines of their own; names count by their letters alone; a NUL ends a line; the bytes behind a
  chunk are skipped;
- the responses, in their order, and the access log.

Every case is sent whole, cut in two at every offset, byte by byte, and over TLS. The cases are those of RFC 9112 sections 2
to 9 and RFC 9110 on Host, Connection, Expect, Upgrade and TE, and what has been published on request smuggling.

    node --test test/e2e/conformance/conformance.test.ts                           a share of the offsets
    STEKBAL_CONFORMANCE=all node --test test/e2e/conformance/conformance.test.ts   all of them

A server that ignores a well-framed body cannot be helped by a proxy in front of it; where that is likely, the connection to
it is not used again: after a body of GET, HEAD, DELETE or OPTIONS, for which it is asked to close, and after an answer to
\`Expect: 100-continue\` without a 100.

The other programs' columns count how many of the same cases they refuse / forward in one meaning / forward malformed, so
that a strict reader refuses them, while the lenient ones agree / forward so that the readings differ / leave unanswered.
They are configured as their users do, with connections to the backend kept. It is no race: what they forward in one meaning
may well be right, and limits are set low at stekbal alone. Where a fault races with an answer or an end, one or two of theirs
come out otherwise from one run to the next. What differs is listed below.
`;
