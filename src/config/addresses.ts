/**
 * Addresses as the configuration file writes them: where to listen, where a node is, which hosts a rule is for.
 * Pure functions, no name is looked up. Main thread.
 */

import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { dirname } from 'node:path';
import { joinHostPort, type ListenAddress } from './config.ts';
import { hasControl, type Parsed, parsed, parseText, refused, show } from './units.ts';

export interface NodeAddress {
  /** Canonical `host:port`. */
  address: string;
  host: string;
  port: number;
}

const NODE_PORT_DEFAULT = 80;
/** Linux: sockaddr_un.sun_path holds 108 bytes with the final zero. */
const UNIX_PATH_BYTES_MAX = 107;
/** A listener binds its socket beside the path, under a name of 7 bytes, and moves it there. */
const UNIX_FOLDER_BYTES_MAX = UNIX_PATH_BYTES_MAX - '/'.length - 7;
const LISTEN_FORMS = 'host:port, [v6]:port, unix:/path or fd:NAME';
const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?';
const NAME_PATTERN = new RegExp(`^(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`);

/** Where to listen; port 0..65535. A unix path is returned as written. */
export function parseListenAddress(raw: unknown): Parsed<ListenAddress> {
  if (typeof raw === 'number')
    return refused(`${raw} is a port without a host; write "0.0.0.0:${raw}" or "[::]:${raw}"`);
  if (typeof raw !== 'string') return refused(`${show(raw)} is not an address; write ${LISTEN_FORMS}`);
  if (raw.startsWith('unix:')) return parseUnixPath(raw.slice(5));
  if (raw.startsWith('fd:')) return parseFdName(raw.slice(3));
  const port = /^(?:\*?:)?(\d+)$/.exec(raw)?.[1];
  if (port !== undefined) {
    return refused(`${show(raw)} names no host; write "0.0.0.0:${port}" or "[::]:${port}" for every address`);
  }
  const split = splitHostPort(raw);
  if (!split.ok) return split;
  if (split.value.port === null)
    return refused(`${show(raw)} has no port; write ${joinHostPort(split.value.host, 8080)}, say`);
  return parsed({ kind: 'tcp', host: split.value.host, port: split.value.port });
}

/** A backend: `ip`, `ip:port`, `name:port` or `[v6]:port`; port 1..65535, 80 when left out. */
export function parseNodeAddress(raw: unknown): Parsed<NodeAddress> {
  if (typeof raw !== 'string') return refused(`${show(raw)} is not a node's address; write "ip:port", in quotes`);
  const split = splitHostPort(raw);
  if (!split.ok) return split;
  const { host, port = NODE_PORT_DEFAULT } = { host: split.value.host, port: split.value.port ?? NODE_PORT_DEFAULT };
  if (port === 0) return refused(`${show(raw)}: a node cannot be reached at port 0; write a port from 1 to 65535`);
  return parsed({ address: joinHostPort(host, port), host, port });
}

/** An edge's TLS listener as its clients reach it: `host:port` or `[v6]:port`, port 1..65535. */
export function parseTarget(raw: unknown): Parsed<{ host: string; port: number }> {
  if (typeof raw !== 'string') return refused(`${show(raw)} is not an address; write "host:port", in quotes`);
  const split = splitHostPort(raw);
  if (!split.ok) return split;
  const { host, port } = split.value;
  if (port === null || port === 0) return refused(`${show(raw)} has no port; write ${joinHostPort(host, 443)}, say`);
  return parsed({ host, port });
}

/** What SNI can hold: a host name, no address (RFC 6066, section 3). Lower-cased. */
export function parseServerName(raw: unknown): Parsed<string> {
  const host = parseHost(raw);
  if (host.ok && !isIPv4(host.value) && !isIPv6(host.value)) return host;
  return refused(`${show(raw)} is not a name that SNI can hold; write one such as www.example.com`);
}

/** A key of `hosts`, lower-cased: a name, an IP address, or `*.` and a name. */
export function parseHostPattern(raw: string): Parsed<string> {
  const pattern = raw.toLowerCase();
  const name = pattern.startsWith('*.') ? pattern.slice(2) : pattern;
  if (pattern === '*') return refused('"*" matches every host; write the service for the rest as service: NAME');
  if (name.includes('*'))
    return refused(`${show(raw)}: "*" can only stand as the first label; write *.example.com, say`);
  if (/:\d*$/.test(name) && !name.endsWith(']') && !isIPv6(name)) {
    return refused(`${show(raw)} has a port; leave it out: hosts are matched without it`);
  }
  const literal = parseHost(name);
  if (!literal.ok) return refused(`${show(raw)} is not a host; write a name such as a.example or *.b.example`);
  return parsed(literal.value.includes(':') ? `[${literal.value}]` : pattern);
}

/** A host without port: an IPv4 address, an IPv6 address (in brackets or not) or a name; canonical, no brackets. */
export function parseHost(raw: unknown): Parsed<string> {
  const text = parseText(raw, { min: 1, max: 255 });
  if (!text.ok) return text;
  const host = /^\[(.*)\]$/.exec(text.value)?.[1] ?? text.value;
  if (isIPv6(host)) return parsed(canonicalIpv6(host));
  if (host !== text.value) return refused(`${show(raw)} is not an IPv6 address; write one such as [::1]`);
  if (isIPv4(host)) return parsed(host);
  const name = host.toLowerCase();
  if (!NAME_PATTERN.test(name)) return refused(`${show(raw)} is not a host; write an IP address or a name`);
  // A last label of digits alone is meant as IPv4 (WHATWG URL, section 3.5): no name can be looked up there.
  if (/(?:^|\.)\d+$/.test(name))
    return refused(`${show(raw)} is not an IPv4 address; write four numbers from 0 to 255`);
  return parsed(name);
}

/** Whether only this machine can reach the address. A socket from systemd may be anywhere. */
export function isLocalAddress(address: ListenAddress): boolean {
  if (address.kind !== 'tcp') return address.kind === 'unix';
  return (
    address.host === 'localhost' || address.host === '::1' || (isIPv4(address.host) && address.host.startsWith('127.'))
  );
}

function splitHostPort(raw: string): Parsed<{ host: string; port: number | null }> {
  if (isIPv6(raw))
    return refused(
      `${show(raw)} is an IPv6 address without brackets; write "[${raw}]:80", or "[...]:port" if it ends in a port`,
    );
  const match = /^(.*?)(?::([^:\]]*))?$/.exec(raw);
  const host = parseHost(match?.[1] ?? '');
  if (!host.ok)
    return refused(host.message.replace(/^the text is empty.*/, `${show(raw)} names no host; write host:port`));
  const digits = match?.[2];
  if (digits === undefined) return parsed({ host: host.value, port: null });
  if (!/^\d{1,5}$/.test(digits) || Number(digits) > 65_535) {
    return refused(`${show(raw)}: ${show(digits)} is not a port; write a number from 0 to 65535`);
  }
  return parsed({ host: host.value, port: Number(digits) });
}

function parseUnixPath(path: string): Parsed<ListenAddress> {
  if (path === '') return refused('"unix:" names no socket; write unix:/run/stekbal/http.sock, say');
  if (hasControl(path)) return refused('the socket path holds a control character; write a plain path');
  const bytes = Buffer.byteLength(path);
  if (bytes > UNIX_PATH_BYTES_MAX) {
    return refused(`the socket path has ${bytes} bytes; a unix socket's path has at most ${UNIX_PATH_BYTES_MAX}`);
  }
  const folderBytes = Buffer.byteLength(dirname(path));
  if (folderBytes > UNIX_FOLDER_BYTES_MAX) {
    return refused(`the folder of the socket has ${folderBytes} bytes; it may have at most ${UNIX_FOLDER_BYTES_MAX}`);
  }
  return parsed({ kind: 'unix', path });
}

/** systemd.socket(5), FileDescriptorName=: 1..255 printable ASCII characters, no colon. */
function parseFdName(name: string): Parsed<ListenAddress> {
  if (/^[!-9;-~]{1,255}$/.test(name)) return parsed({ kind: 'fd', name });
  return refused(`${show(`fd:${name}`)} names no socket; write fd:NAME with the socket unit's FileDescriptorName`);
}

function canonicalIpv6(host: string): string {
  const [address = host, zone] = host.split('%');
  const canonical = new SocketAddress({ address, family: 'ipv6' }).address;
  return zone === undefined ? canonical : `${canonical}%${zone}`;
}
