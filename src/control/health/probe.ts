/**
 * One health check of one node: a TCP connection, or a request and the head of its answer. On a connection of its own, from
 * the look-up of the name to the end within one deadline. Main thread.
 */

import type { IncomingMessage } from 'node:http';
import net from 'node:net';
import { LOCAL_FAILURES } from '../../boards/local-failures.ts';
import type { HealthCheckConfig, HttpCheckConfig, NodeConfig, StatusRange } from '../../config/config.ts';
import { nodeHttp } from '../node-http.ts';
import type { Running } from './check-schedule.ts';
import { startDeadline } from './deadline.ts';

/**
 * How a check ends. `unreachable`: no connection. `answer`: no answer, none that is HTTP, or not the status expected.
 * `local`: this machine could not make it, which says nothing of the node.
 */
export const CHECK_RESULTS = ['passed', 'unreachable', 'timeout', 'answer', 'local'] as const;

export interface CheckResult {
  readonly result: (typeof CHECK_RESULTS)[number];
  /** Empty where it has passed. */
  readonly reason: string;
}

/** What is checked: a node, at its own port or that of the check. */
export type CheckTarget = Pick<NodeConfig, 'address' | 'host' | 'port'>;

/** Begins a check. `onDone` is called once, after this has returned; not once it is cancelled. */
export type StartProbe = (
  target: CheckTarget,
  check: HealthCheckConfig,
  onDone: (result: CheckResult) => void,
) => Running;

const HEAD_BYTES_MAX = 16 * 1024;
/** The status decides. The rest is read this far, so that the node does not see its answers broken off. */
const BODY_BYTES_MAX = 64 * 1024;
/** Time for that rest. */
const LINGER_MS = 250;
const INTERIMS_MAX = 16;

const PASSED: CheckResult = { result: 'passed', reason: '' };

/** `lookup` is asked for the addresses of nodes that have names. */
export function probeWith(lookup: net.LookupFunction): StartProbe {
  return (target, check, onDone) => {
    const at = { host: target.host, port: check.port ?? target.port, lookup };
    return check.http === null ? connect(at, check, onDone) : request(at, target, check, check.http, onDone);
  };
}

interface Address {
  readonly host: string;
  readonly port: number;
  readonly lookup: net.LookupFunction;
}

function connect(at: Address, { timeoutMs }: HealthCheckConfig, onDone: (result: CheckResult) => void): Running {
  const socket = net.connect({ ...at, noDelay: true });
  let isOver = false;
  const end = () => {
    isOver = true;
    deadline.clear();
    socket.destroy();
  };
  const settle = (result: CheckResult) => {
    if (isOver) return;
    end();
    onDone(result);
  };
  const deadline = startDeadline(timeoutMs, () => settle(timedOut(timeoutMs, false)));
  socket.once('connect', () => settle(PASSED));
  // one that comes after the end is nobody's concern
  socket.on('error', (error) => settle(unreachable(error)));
  return { cancel: end };
}

function request(
  at: Address,
  target: CheckTarget,
  { timeoutMs }: HealthCheckConfig,
  { method, path, host, expectedStatus }: HttpCheckConfig,
  onDone: (result: CheckResult) => void,
): Running {
  let verdict: CheckResult | null = null;
  let isConnected = false;
  let isCancelled = false;
  const decide = (result: CheckResult) => {
    verdict ??= result;
  };
  const headers = { Host: host ?? target.address, 'User-Agent': 'stekbal', Accept: '*/*' };
  const sent = nodeHttp().request({ ...at, agent: false, method, path, headers, maxHeaderSize: HEAD_BYTES_MAX });
  const end = (result: CheckResult) => {
    decide(result);
    sent.destroy();
  };
  let deadline = startDeadline(timeoutMs, () => end(timedOut(timeoutMs, isConnected)));
  sent.once('socket', (socket) => {
    socket.setNoDelay(true);
    socket.once('connect', () => {
      isConnected = true;
    });
  });
  let interims = 0;
  sent.on('information', () => {
    if (++interims > INTERIMS_MAX) end({ result: 'answer', reason: 'it sends interim answers without end' });
  });
  sent.once('response', (response) => {
    decide(judge(response.statusCode as number, expectedStatus));
    deadline.clear();
    deadline = startDeadline(LINGER_MS, () => sent.destroy());
    readRest(response, () => sent.destroy());
  });
  // it would go on with something else than HTTP
  sent.once('upgrade', () => end({ result: 'answer', reason: 'status 101' }));
  sent.on('error', (error) => {
    decide(isConnected ? { result: 'answer', reason: describe(error) } : unreachable(error));
  });
  sent.once('close', () => {
    deadline.clear();
    if (!isCancelled) onDone(verdict ?? { result: 'answer', reason: NO_ANSWER });
  });
  sent.end();
  const cancel = () => {
    isCancelled = true;
    deadline.clear();
    sent.destroy();
  };
  return { cancel };
}

function judge(status: number, expected: readonly StatusRange[]): CheckResult {
  const isExpected = expected.some(({ from, to }) => status >= from && status <= to);
  return isExpected ? PASSED : { result: 'answer', reason: `status ${status}` };
}

function readRest(response: IncomingMessage, onTooLong: () => void): void {
  let bytes = 0;
  response.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) onTooLong();
  });
  // what becomes of it does not matter any more
  response.on('error', () => {});
}

const NO_ANSWER = 'it closed the connection without an answer';

function timedOut(timeoutMs: number, isConnected: boolean): CheckResult {
  return { result: 'timeout', reason: `no ${isConnected ? 'answer' : 'connection'} within ${timeoutMs} ms` };
}

function unreachable(error: Error): CheckResult {
  const reason = describe(error);
  return { result: LOCAL_FAILURES.has(reason) ? 'local' : 'unreachable', reason };
}

function describe(error: Error): string {
  const code = codeOf(error);
  if (code === 'HPE_HEADER_OVERFLOW') return `the head of its answer is longer than ${HEAD_BYTES_MAX} bytes`;
  if (code.startsWith('HPE_')) return `its answer is not HTTP: ${code}`;
  return error.message === 'socket hang up' ? NO_ANSWER : code;
}

function codeOf(error: NodeJS.ErrnoException): string {
  // connecting to a name tries each of its addresses: the error that is thrown then holds theirs
  if (error instanceof AggregateError) return codeOf(error.errors[0] as NodeJS.ErrnoException);
  return error.code ?? error.message;
}
