/**
 * The admin API's errors as its clients get them: {code, message} and a status. Main thread.
 */

import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError } from 'fastify';
import type { Parsed } from '../config/units.ts';
import { KeyError } from '../control/key-error.ts';
import { PoolError } from '../control/pool-editor.ts';

export interface ApiError {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

export const JSON_TYPE = 'application/json; charset=utf-8';

const STATUS_OF: Readonly<Record<PoolError['code'] | KeyError['code'], number>> = {
  'unknown-pool': 404,
  'unknown-node': 404,
  'no-edit': 404,
  'too-many-edits': 409,
  'no-leader': 503,
  lost: 503,
  unconfirmed: 504,
  'not-activated': 504,
};

export class BadRequest extends Error {
  readonly statusCode = 400;
  readonly code = 'bad-request';
}

/** Throws a BadRequest where there is no value. */
export function wanted<T>(result: Parsed<T>): T {
  if (!result.ok) throw new BadRequest(result.message);
  return result.value;
}

export function describeError(error: FastifyError): ApiError {
  if (error instanceof PoolError || error instanceof KeyError)
    return { status: STATUS_OF[error.code], code: error.code, message: error.message };
  const { statusCode: status = 500, message } = error;
  // what the framework refuses: a body that is too large, of another type, or no JSON
  if (status < 500) return { status, code: 'bad-request', message };
  return { status: 500, code: 'internal', message: 'this failed, and the log says why' };
}

/** Answers what expects more than 100-continue. */
export function refuseExpectation(response: ServerResponse): void {
  send(response, 417, { code: 'expectation', message: 'of Expect, 100-continue alone is known' });
}

/** Answers what has a path that cannot be read. */
export function refuseUnrouted(error: FastifyError, response: ServerResponse): void {
  const { status, code, message } = describeError(error);
  send(response, status, { code, message });
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  const length = Buffer.byteLength(text);
  response.writeHead(status, { Connection: 'close', 'Content-Type': JSON_TYPE, 'Content-Length': length }).end(text);
}

/** Of what Node could not make a request: its status line's end, and why. */
const UNPARSED: Readonly<Record<string, readonly [status: string, message: string]>> = {
  ERR_HTTP_REQUEST_TIMEOUT: ['408 Request Timeout', 'the request did not come whole in time'],
  HPE_HEADER_OVERFLOW: ['431 Request Header Fields Too Large', 'the head of the request is too large'],
};

/** Answers what is no HTTP request, and ends the connection. */
export function refuseUnparsed({ code = '' }: NodeJS.ErrnoException, socket: Socket): void {
  // an answer that has begun is not to be mixed with another
  if (!socket.writable || socket.bytesWritten > 0 || code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const [status, message] = UNPARSED[code] ?? ['400 Bad Request', 'this is not an HTTP request'];
  const body = JSON.stringify({ code: 'bad-request', message });
  socket.end(
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: ${JSON_TYPE}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
