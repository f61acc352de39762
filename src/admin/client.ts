/**
 * Asks a running edge's admin API: what the commands use. Main thread of a command.
 */

import type { RequestOptions } from 'node:http';
import { formatListenAddress, type ListenAddress } from '../config/config.ts';
import { nodeHttp } from '../control/node-http.ts';

const TIMEOUT_MS = 5_000;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Nobody answers there, or not as the API does. */
export class AdminClientError extends Error {}

export interface AdminQuestion {
  readonly path: string;
  /** Default: GET. */
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Sent as JSON. */
  readonly body?: object;
  readonly timeoutMs?: number;
}

export interface AdminAnswer {
  readonly status: number;
  /** Parsed from JSON. */
  readonly body: unknown;
}

/** Rejects with an AdminClientError that says what to check. */
export function askAdmin(
  address: ListenAddress,
  token: string | null,
  { path, method = 'GET', body, timeoutMs = TIMEOUT_MS }: AdminQuestion,
): Promise<AdminAnswer> {
  const where = formatListenAddress(address);
  const { promise, resolve, reject } = Promise.withResolvers<AdminAnswer>();
  const headers = {
    ...(token !== null && { authorization: `Bearer ${token}` }),
    ...(body !== undefined && { 'content-type': 'application/json' }),
  };
  const options = { ...target(address), path, method, headers, agent: false, timeout: timeoutMs };
  const request = nodeHttp().request(options, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.length > ANSWER_BYTES_MAX) request.destroy(new Error('the answer has no end'));
    });
    response.on('error', (error) => {
      reject(new AdminClientError(`the answer from the admin API at ${where} broke off: ${error.message}`));
    });
    response.on('end', () => {
      const answer = parseJson(text);
      if (answer === undefined) reject(new AdminClientError(`what answers at ${where} is not stekbal's admin API`));
      else resolve({ status: response.statusCode ?? 0, body: answer });
    });
  });
  request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
  request.on('error', (error: NodeJS.ErrnoException) => {
    const advice = 'is stekbal running, and does its configuration have admin at this address?';
    reject(new AdminClientError(`no answer from the admin API at ${where}: ${error.code ?? error.message}; ${advice}`));
  });
  request.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

function target(address: ListenAddress): RequestOptions {
  if (address.kind === 'unix') return { socketPath: address.path };
  if (address.kind === 'fd') throw new AdminClientError(`${formatListenAddress(address)} cannot be connected to`);
  const { host, port } = address;
  // where it listens on every address, this machine's own is one
  return { host: { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host, port };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
