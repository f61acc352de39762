/**
 * `stekbal pool`: shows pools and changes their nodes while they are in use, through a running edge's admin API. Main
 * thread.
 */

import { Argument, Command, Option } from 'commander';
import type { AdminQuestion } from '../admin/client.ts';
import { type NodeAddress, parseNodeAddress } from '../config/addresses.ts';
import { WEIGHT_RANGE } from '../config/config.ts';
import { suggestName } from '../config/issues.ts';
import { parseDuration, parseInteger } from '../config/units.ts';
import { type Ask, addAdminOptions, CHANGE_TIMEOUT_MS, withAdmin } from './admin-access.ts';
import { argumentOf } from './argument.ts';
import { terminalPaint } from './paint.ts';
import { isEditAnswer, isPage, isPools } from './pool-answers.ts';
import { type NodeAction, renderEdit, renderNodes, renderPools } from './pool-text.ts';
import { waitUntilIdle } from './pool-wait.ts';

const HELP = `
  stekbal pool                          the pools
  stekbal pool NAME list                its nodes: state, weight, requests in flight, share, and who set them
  stekbal pool NAME add NODE            add a node, or change its --weight
  stekbal pool NAME drain NODE          no new clients; those that it has by their cookie stay
  stekbal pool NAME undrain NODE        new clients again
  stekbal pool NAME remove NODE         take it out; requests in flight are answered
  stekbal pool NAME reset NODE          withdraw what was said of it: the file counts again

NODE is an ip, ip:port, name:port or [v6]:port; port 80 where it is left out. A change is in force on every edge of the
group when the command ends, or within moments; it lies over what the files say and is kept over reloads and restarts. With
--local, and without stek_share, it is in force on this edge only, over what the group says; it is kept over reloads, and
over a restart where the configuration has a state_dir.

Exit code: 0 done, 1 a failure (nothing answers, no such pool or node, --wait ran out), 64 the command line is wrong, 78 the
configuration has errors or no admin.`;

const ACTIONS = ['list', 'add', 'remove', 'drain', 'undrain', 'reset'] as const;
const WAIT_DEFAULT_MS = 300_000;
const WAIT_RANGE_MS = { min: 1_000, max: 7 * 86_400_000 };

type Action = (typeof ACTIONS)[number];

interface PoolOptions {
  readonly weight?: number;
  readonly local?: true;
  readonly wait?: true;
  readonly timeout?: number;
  readonly json?: true;
}

interface Edit {
  readonly pool: string;
  readonly action: NodeAction;
  readonly node: NodeAddress;
}

/** The command. It sets process.exitCode. */
export function poolCommand(): Command {
  const command = new Command('pool')
    .summary('show the pools, and change their nodes while they are in use')
    .description('Show the pools, and change their nodes while they are in use: on every edge of the group.')
    .addHelpText('after', HELP)
    .argument('[name]', 'the pool')
    .addArgument(actionArgument())
    .argument('[node]', 'the node to be changed')
    .addOption(new Option('--weight <n>', 'with add: its share of new clients').argParser(weight))
    .option('--local', 'on this edge only')
    .option('--wait', 'with drain: wait until no request is in flight on it, on this edge')
    .addOption(new Option('--timeout <duration>', 'of --wait (default: 5m)').argParser(timeout))
    .option('--json', 'print JSON');
  return addAdminOptions(command).action(
    async (name: string | undefined, action: string | undefined, node: string | undefined, options: PoolOptions) => {
      const work = workOf(command, { name, action, node }, options);
      await withAdmin(command, work);
    },
  );
}

/** Its words are known to help and completion; a wrong one is explained by workOf. */
function actionArgument(): Argument {
  const argument = new Argument('[action]', 'what to do with it (default: list)').choices(ACTIONS);
  return argument.argParser((word) => word);
}

/** What the command line asks for. A wrong one ends the process. */
function workOf(
  command: Command,
  given: {
    readonly name?: string | undefined;
    readonly action?: string | undefined;
    readonly node?: string | undefined;
  },
  options: PoolOptions,
): (ask: Ask) => Promise<void> {
  const { name, action: word = 'list', node: text } = given;
  const fail = (message: string) => command.error(`error: ${message}`);
  const action = ACTIONS.find((one) => one === word);
  if (action === undefined)
    return fail(`there is no action ${JSON.stringify(word)}; ${suggestName(word, ACTIONS, '')}`);
  explainMisplaced(action, options, fail);
  if (name === undefined) return (ask) => listPools(ask, options);
  if (action === 'list') {
    if (text !== undefined) fail('list takes no node');
    return (ask) => listNodes(ask, name, options);
  }
  if (text === undefined) return fail(`name the node: stekbal pool ${name} ${action} 10.0.0.1:80, say`);
  const node = parseNodeAddress(text);
  if (!node.ok) return fail(node.message);
  return (ask) => change(ask, { pool: name, action, node: node.value }, options);
}

function explainMisplaced(action: Action, options: PoolOptions, fail: (message: string) => never): void {
  if (options.weight !== undefined && action !== 'add') fail('--weight goes with add');
  if (options.local !== undefined && action === 'list') fail('--local goes with what changes a node');
  if (options.wait !== undefined && action !== 'drain') fail('--wait goes with drain');
  if (options.timeout !== undefined && options.wait === undefined) fail('--timeout goes with --wait');
}

async function listPools(ask: Ask, { json }: PoolOptions): Promise<void> {
  const { pools } = await ask({ path: '/pools' }, isPools);
  process.stdout.write(json === true ? jsonText({ pools }) : renderPools(pools, terminalPaint));
}

async function listNodes(ask: Ask, pool: string, { json }: PoolOptions): Promise<void> {
  const first = await ask({ path: `${pathOf(pool)}/nodes` }, isPage);
  const nodes = [...first.nodes];
  let page = first;
  while (page.nodes.length > 0 && nodes.length < page.nodeCount) {
    page = await ask({ path: `${pathOf(pool)}/nodes?offset=${nodes.length}` }, isPage);
    nodes.push(...page.nodes);
  }
  const all = { ...first, nodeCount: nodes.length, nodes };
  process.stdout.write(json === true ? jsonText(all) : renderNodes(all, Date.now(), terminalPaint));
}

async function change(ask: Ask, edit: Edit, options: PoolOptions): Promise<void> {
  const answer = await ask({ ...questionOf(edit, options), timeoutMs: CHANGE_TIMEOUT_MS }, isEditAnswer);
  if (options.json !== true) process.stdout.write(renderEdit(edit.action, options.weight ?? null, answer));
  const { wait, timeout: timeoutMs = WAIT_DEFAULT_MS } = options;
  const node = wait === true ? await waitUntilIdle(ask, placeOf('nodes', edit), timeoutMs) : answer.node;
  if (options.json === true) process.stdout.write(jsonText({ ...answer, node }));
}

function questionOf(edit: Edit, { weight, local }: PoolOptions): AdminQuestion {
  const scope = local === true ? { local } : {};
  const query = local === true ? '?local=1' : '';
  const { pool, action, node } = edit;
  switch (action) {
    case 'add': {
      const body = { address: node.address, ...(weight !== undefined && { weight }), ...scope };
      return { method: 'POST', path: `${pathOf(pool)}/nodes`, body };
    }
    case 'remove':
      return { method: 'DELETE', path: placeOf('nodes', edit) + query };
    case 'reset':
      return { method: 'DELETE', path: placeOf('edits', edit) + query };
    default:
      return { method: 'PATCH', path: placeOf('nodes', edit), body: { drain: action === 'drain', ...scope } };
  }
}

function placeOf(kind: 'nodes' | 'edits', { pool, node }: Edit): string {
  return `${pathOf(pool)}/${kind}/${encodeURIComponent(node.address)}`;
}

function pathOf(pool: string): string {
  return `/pools/${encodeURIComponent(pool)}`;
}

function weight(text: string): number {
  return argumentOf(parseInteger(text, WEIGHT_RANGE));
}

function timeout(text: string): number {
  return argumentOf(parseDuration(text, WAIT_RANGE_MS));
}

function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
