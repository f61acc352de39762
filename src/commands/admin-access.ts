/**
 * How commands ask a running edge: the options that say where, the question, and what is printed where it fails. Main
 * thread of a command.
 */

import { type Command, InvalidArgumentError } from 'commander';
import { AdminClientError, askAdmin, type AdminQuestion as Question } from '../admin/client.ts';
import { readToken } from '../admin/token-file.ts';
import { parseListenAddress } from '../config/addresses.ts';
import type { AdminConfig, ListenAddress } from '../config/config.ts';
import { StartError } from '../control/start-error.ts';
import { loadOrExplain } from './check.ts';
import { EX_CONFIG, EXIT_FAILURE } from './exit-codes.ts';

export interface AdminQuestion extends Question {
  /** Answers other than 200 that are none of failure. */
  readonly accepts?: readonly number[];
}

const ADMIN_DEFAULT: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 9900 };

export interface AdminOptions {
  readonly config?: string;
  readonly admin?: ListenAddress;
  readonly tokenFile?: string;
}

export function addAdminOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', "ask at this configuration's admin address, with its token")
    .option('-a, --admin <address>', 'ask here instead of at 127.0.0.1:9900', parseAdmin)
    .option('--token-file <file>', 'the file that holds the token for --admin');
}

/** How long a change may take: every member of the group is asked, and the edge says when it gives up. */
export const CHANGE_TIMEOUT_MS = 120_000;

const HOW_TO_OPEN = 'write admin: {address: "127.0.0.1:9900"}, and restart';

/** The edge said no. */
export class AdminRefusal extends AdminClientError {
  /** The API's own, such as `unknown-node`. */
  readonly code: string;
  constructor(status: number, body: unknown) {
    super(`refused with ${status}: ${textOf(body, 'message') ?? 'no reason given'}`);
    this.code = textOf(body, 'code') ?? '';
  }
}

/** Rejects with an AdminClientError, or a StartError for the token's file. */
export type Ask = <T>(question: AdminQuestion, isExpected: (body: unknown) => body is T) => Promise<T>;

/**
 * Resolves to the answer, which `isExpected` knows. Null, with the reason printed, where there is none: exit code 1, or 78
 * for a bad configuration. A wrong command line ends the process.
 */
export function askOrExplain<T>(
  command: Command,
  question: AdminQuestion,
  isExpected: (body: unknown) => body is T,
): Promise<T | null> {
  return withAdmin(command, (ask) => ask(question, isExpected));
}

/** As askOrExplain, for work that asks more than once. `howToOpen` says what to do where the configuration has no admin. */
export async function withAdmin<T>(
  command: Command,
  work: (ask: Ask) => Promise<T>,
  howToOpen = HOW_TO_OPEN,
): Promise<T | null> {
  const admin = adminOf(command, howToOpen);
  if (admin === null) return null;
  try {
    return await work((question, isExpected) => ask(admin, question, isExpected));
  } catch (error) {
    if (!(error instanceof AdminClientError || error instanceof StartError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = EXIT_FAILURE;
    return null;
  }
}

/** Rejects with an AdminClientError, or a StartError for the token's file. */
export async function ask<T>(
  { address, tokenFile }: AdminConfig,
  question: AdminQuestion,
  isExpected: (body: unknown) => body is T,
): Promise<T> {
  const { status, body } = await askAdmin(address, readToken(tokenFile), question);
  if (status !== 200 && !question.accepts?.includes(status)) throw new AdminRefusal(status, body);
  if (!isExpected(body)) throw new AdminClientError("the answer is not that of stekbal's admin API");
  return body;
}

function parseAdmin(text: string): ListenAddress {
  const address = parseListenAddress(text);
  if (!address.ok) throw new InvalidArgumentError(address.message);
  if (address.value.kind === 'fd') throw new InvalidArgumentError('Write host:port or unix:/path.');
  return address.value;
}

/** Null, with exit code 78 set, where the configuration does not say. */
function adminOf(command: Command, howToOpen: string): AdminConfig | null {
  const { config: file, admin, tokenFile } = command.opts<AdminOptions>();
  if (file === undefined) return { address: admin ?? ADMIN_DEFAULT, tokenFile: tokenFile ?? null };
  if ((admin ?? tokenFile) !== undefined) {
    command.error('error: --config says where to ask; leave out --admin and --token-file');
  }
  const config = loadOrExplain(file, { warnings: false, expired: 'warning' });
  if (config === null) return null;
  if (config.admin === null) {
    process.stderr.write(`${file}: the admin API is off; ${howToOpen}\n`);
    process.exitCode = EX_CONFIG;
  }
  return config.admin;
}

function textOf(body: unknown, key: string): string | null {
  return typeof body === 'object' && body !== null && key in body
    ? String((body as Record<string, unknown>)[key])
    : null;
}
