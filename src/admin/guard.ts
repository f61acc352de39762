/**
 * Who may use the admin API. Without a token, programs of this machine: browsers are among them, so what a web page could
 * make one send is refused. With a token, whoever holds it. Pure; main thread.
 */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ListenAddress } from '../config/config.ts';

export interface Refusal {
  readonly status: 401 | 403;
  readonly code: string;
  readonly message: string;
}

const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]'];

/** Null where the request may pass. */
export function refusalOf(headers: IncomingHttpHeaders, address: ListenAddress, token: string | null): Refusal | null {
  if (token === null && address.kind === 'tcp' && !isHostOf(headers.host ?? '', address.host)) {
    const allowed = [...new Set([...LOOPBACK_HOSTS, bracketed(address.host)])].join(', ');
    return forbidden('foreign-host', `the Host header names another host; use one of ${allowed}`);
  }
  if (isFromOtherSite(headers)) return forbidden('foreign-origin', 'requests from pages of other sites are refused');
  if (token === null || holdsToken(headers.authorization ?? '', token)) return null;
  return { status: 401, code: 'token', message: 'send "Authorization: Bearer TOKEN" with the token of token_file' };
}

function forbidden(code: string, message: string): Refusal {
  return { status: 403, code, message };
}

/** Another name that leads here is DNS rebinding: to the browser, the page and this API would be one site. */
function isHostOf(host: string, configured: string): boolean {
  const name = host.replace(/:\d*$/, '').toLowerCase();
  return LOOPBACK_HOSTS.includes(name) || name === bracketed(configured);
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** A page on another port of this machine is same-site to the browser, and a stranger here. */
function isFromOtherSite(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  const { origin, host } = headers;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}

/** Hashes are compared, so that neither the token's length nor its beginning shows in the time that it takes. */
function holdsToken(authorization: string, token: string): boolean {
  const given = /^bearer +(\S+) *$/i.exec(authorization)?.[1] ?? '';
  return timingSafeEqual(sha256(given), sha256(token));
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
