/**
 * Who may use the admin API. Without a token, programs of this machine: browsers are among them, so what a web page could
 * make one send is refused. With a token, whoever holds it. Pure; main thread.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ListenAddress } from '../config/config.ts';

export interface Refusal {
  readonly status: 400 | 401 | 403 | 415;
  readonly code: string;
  readonly message: string;
}

/** Of a request, what is looked at. */
export interface Asked {
  readonly method: string;
  readonly httpVersion: string;
  readonly headers: IncomingHttpHeaders;
  /** How many Host headers there are; `headers` has the first. */
  readonly hosts: number;
  /** For the dashboard's page, which holds no data and changes nothing. */
  readonly isPage: boolean;
}

const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]'];
const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/** Null where the request may pass. That of a token is the last to be looked for. */
export function refusalOf(asked: Asked, address: ListenAddress, token: string | null): Refusal | null {
  const { headers } = asked;
  // RFC 9112, section 3.2
  if (headers.host === undefined && asked.httpVersion === '1.1') {
    return { status: 400, code: 'bad-request', message: 'the Host header is missing' };
  }
  if (asked.hosts > 1) return { status: 400, code: 'bad-request', message: 'there is more than one Host header' };
  const hosts = hostsOf(address);
  if (token === null && !hosts.includes(hostName(headers.host ?? ''))) {
    return forbidden('foreign-host', `the Host header names another host; use one of ${hosts.join(', ')}`);
  }
  if (isFromOtherSite(asked)) return forbidden('foreign-origin', 'requests from pages of other sites are refused');
  if (!SAFE_METHODS.includes(asked.method) && !isJsonOrNone(headers['content-type'])) {
    return { status: 415, code: 'content-type', message: 'send JSON, with "Content-Type: application/json"' };
  }
  if (token === null || holdsToken(headers.authorization ?? '', token)) return null;
  return { status: 401, code: 'token', message: 'send "Authorization: Bearer TOKEN" with the token of token_file' };
}

function forbidden(code: string, message: string): Refusal {
  return { status: 403, code, message };
}

/** What a form of a page sends always has another type, with an empty body too, and needs nobody's permission. */
function isJsonOrNone(contentType: string | undefined): boolean {
  return contentType === undefined || /^application\/json\s*(?:;|$)/i.test(contentType);
}

/**
 * Another name that leads here is DNS rebinding: to the browser, the page and this API would be one site. To a unix socket
 * too, where it is forwarded to a port (`ssh -L 9900:/run/stekbal/admin.sock`).
 */
function hostsOf(address: ListenAddress): readonly string[] {
  if (address.kind !== 'tcp') return LOOPBACK_HOSTS;
  const own = address.host.includes(':') ? `[${address.host}]` : address.host;
  return [...new Set([...LOOPBACK_HOSTS, own])];
}

/** Of a Host header, without the port. */
function hostName(host: string): string {
  return host.replace(/:\d*$/, '').toLowerCase();
}

/**
 * A page on another port of this machine is same-site to the browser, and a stranger here. Following a link to the
 * dashboard is let pass: the page that holds the link gets nothing of the answer.
 */
function isFromOtherSite({ method, headers, isPage }: Asked): boolean {
  const { origin, host } = headers;
  if (origin !== undefined && (!URL.canParse(origin) || new URL(origin).host !== host)) return true;
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  const isNavigation = headers['sec-fetch-mode'] === 'navigate' && headers['sec-fetch-dest'] === 'document';
  return !(isPage && isNavigation && method === 'GET');
}

/** Hashes are compared, so that neither the token's length nor its beginning shows in the time that it takes. */
function holdsToken(authorization: string, token: string): boolean {
  const given = /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? '';
  return timingSafeEqual(sha256(given), sha256(token));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
