/**
 * The admin API of a real edge, by raw bytes over real sockets: every answer is one that docs/admin-api.md knows, every
 * error has its shape, and nothing changes unless a request was sound and allowed to. Test support.
 */

import { writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { startAdmin } from '../../admin/admin-harness.ts';
import { temporaryFolder } from '../../e2e/harness.ts';
import { Scope } from '../../scope.ts';
import { adminRequest, mayChange } from '../admin-requests.ts';
import { Random } from '../random.ts';
import type { CaseVerdict, FuzzCase, FuzzTarget } from '../target.ts';

const BATCH = 48;
const TOKEN = 'a-token-of-24-characters';
const ANSWER_MS_MAX = 15_000;
const STATUSES = new Set([
  200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 417, 422, 431, 503, 504,
]);

/** What the keeper of the ticket keys proposes by itself. */
const OWN_COMMANDS = ['sync', 'key-mint', 'key-activate', 'key-retire'];

type Admin = Awaited<ReturnType<typeof startAdmin>>;
/** One without a token, and one with. */
type Admins = Readonly<Record<'open' | 'token', Admin>>;

export async function openAdminTarget(): Promise<FuzzTarget> {
  const scope = new Scope();
  const tokenFile = join(temporaryFolder(scope), 'token');
  writeFileSync(tokenFile, `${TOKEN}\n`);
  const admins = { open: await startAdmin(scope), token: await startAdmin(scope, { tokenFile }) };
  return new AdminTarget(scope, admins);
}

class AdminTarget implements FuzzTarget {
  readonly #scope: Scope;
  readonly #admins: Admins;
  #uncaught: unknown = null;
  readonly #onUncaught = (error: unknown) => {
    this.#uncaught ??= error;
  };

  constructor(scope: Scope, admins: Admins) {
    this.#scope = scope;
    this.#admins = admins;
    process.on('uncaughtException', this.#onUncaught);
  }

  batchOf(seed: number, batch: number): FuzzCase[] {
    const random = new Random(Math.imul(seed, 0x9e3779b1) ^ batch);
    return Array.from({ length: BATCH }, () => {
      const tag = random.below(2) === 0 ? 'open' : 'token';
      return { target: 'admin', tag, bytes: adminRequest(random, tag === 'token' ? TOKEN : null) };
    });
  }

  async check(cases: readonly FuzzCase[], about: (fuzzCase: FuzzCase) => void): Promise<CaseVerdict[]> {
    const verdicts: CaseVerdict[] = [];
    for (const fuzzCase of cases) {
      about(fuzzCase);
      verdicts.push(await this.#checkOne(fuzzCase));
    }
    return verdicts;
  }

  async close(): Promise<void> {
    process.off('uncaughtException', this.#onUncaught);
    await this.#scope.close();
  }

  async #checkOne({ tag, bytes }: FuzzCase): Promise<CaseVerdict> {
    const admin = this.#admins[tag === 'token' ? 'token' : 'open'];
    const before = stateOf(admin);
    const answer = (await exchange(admin.port, bytes)).replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
    const hasChanged = stateOf(admin) !== before;
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0);
    let difference = faultOf(answer, status);
    if (hasChanged && !mayChange(bytes, tag === 'token' ? TOKEN : null))
      difference = `changed: by what was not allowed to, ${status}`;
    if (this.#uncaught !== null) difference = `uncaught: ${(this.#uncaught as Error).stack ?? this.#uncaught}`;
    this.#uncaught = null;
    const outcome = status === 0 ? 'no answer' : String(status);
    return { messages: 1, classes: { [hasChanged ? `${outcome}, and changed` : outcome]: 1 }, difference };
  }
}

/** What requests can change: nodes, and how often the file was read and keys were asked for. */
function stateOf({ edge, cluster }: Admin): string {
  return JSON.stringify([
    edge.pools.list(),
    cluster.proposed.filter((kind) => !OWN_COMMANDS.includes(kind)),
    cluster.reloads.length,
  ]);
}

/** What is wrong with an answer; null: nothing. */
function faultOf(answer: string, status: number): string | null {
  if (answer === '') return null;
  if (!STATUSES.has(status)) return `status: ${answer.slice(0, 300)}`;
  if (status < 400) return null;
  const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
  // a HEAD has none, and readyz says why
  if (body === '' || (status === 503 && body.startsWith('{"isReady"'))) return null;
  try {
    const { code, message } = JSON.parse(body) as Record<string, unknown>;
    if (typeof code === 'string' && typeof message === 'string' && message !== '') return null;
  } catch {
    // said below
  }
  return `shape: ${answer.slice(0, 400)}`;
}

/** Sends the bytes in two pieces, and reads until the other side closes, or answers and says no more. */
function exchange(port: number, bytes: Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    let text = '';
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };
    const timer = setTimeout(end, ANSWER_MS_MAX);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (/text\/event-stream/.test(text)) end();
    });
    socket.on('error', end).on('close', end);
    const cut = bytes.length >> 1;
    socket.write(bytes.subarray(0, cut));
    // its end says that no more comes of a body that is short
    setImmediate(() => socket.end(bytes.subarray(cut)));
  });
}
