/**
 * Where a Perlbal configuration listens: stekbal's `listeners` and `admin`. Main thread of a command.
 */

import { resolve } from 'node:path';
import { isLocalAddress, parseListenAddress } from '../addresses.ts';
import { formatListenAddress, type ListenAddress } from '../config.ts';
import type { DiagnosticList } from '../diagnostics.ts';
import { unreadableReason } from '../source.ts';
import { show } from '../units.ts';
import type { PerlbalService } from './perlbal-model.ts';
import type { Routes } from './perlbal-routes.ts';
import { isOn } from './perlbal-settings.ts';
import type { Entry, Item, Section } from './yaml-text.ts';

/** What SSL services have where they name no file. */
const FILE_DEFAULTS = { ssl_cert_file: 'certs/server-cert.pem', ssl_key_file: 'certs/server-key.pem' } as const;

/** Gathers listeners, each on an address of its own. */
export class Listeners {
  readonly items: Item[] = [];
  admin: Section | null = null;
  readonly #folder: string;
  readonly #diagnostics: DiagnosticList;
  /** By address: who listens there. */
  readonly #taken = new Map<string, PerlbalService>();

  constructor(folder: string, diagnostics: DiagnosticList) {
    this.#folder = folder;
    this.#diagnostics = diagnostics;
  }

  /** Adds a listener for an enabled service; names are stekbal's already. False where it has no address of its own. */
  add(service: PerlbalService, { rest, hosts }: Routes): boolean {
    const address = this.#address(service);
    if (address === null || !this.#take(service, address)) return false;
    const entries: Entry[] = [{ key: 'address', value: formatListenAddress(address), ...this.#besideAddress(service) }];
    if (rest !== null) entries.push({ key: 'service', value: rest });
    if (hosts.size > 0) entries.push({ key: 'hosts', value: [...hosts].map(([key, value]) => ({ key, value })) });
    if (isOn(service, 'enable_ssl', this.#diagnostics)) entries.push(this.#tls(service));
    this.items.push({ item: entries, above: [originOf(service)] });
    return true;
  }

  /** The first management service becomes the admin API, which speaks HTTP and JSON. */
  addAdmin(service: PerlbalService): void {
    const address = this.#address(service);
    if (address === null) return;
    const { at } = service.settings.get('listen') ?? service;
    if (this.admin !== null) {
      this.#diagnostics.warning(
        at,
        'there is one admin API alone, at the first management service; this one is left out',
      );
      return;
    }
    const local = isLocalAddress(address) || address.kind !== 'tcp' ? address : { ...address, host: '127.0.0.1' };
    if (!this.#take(service, local)) return;
    if (local !== address) {
      const advice = 'to open it to others, set the address and a token_file';
      this.#diagnostics.warning(
        at,
        `others can reach ${formatListenAddress(address)}; ${formatListenAddress(local)} is written: ${advice}`,
      );
    }
    const value = [{ key: 'address', value: formatListenAddress(local) }];
    this.admin = { key: 'admin', value, above: [originOf(service)] };
  }

  /** Null where it has none, which a service behind a selector need not. */
  #address({ settings }: PerlbalService): ListenAddress | null {
    const said = settings.get('listen');
    if (said === undefined) return null;
    const address = parseListenAddress(/^\d+$/.test(said.value) ? `0.0.0.0:${said.value}` : said.value);
    if (address.ok) return address.value;
    this.#diagnostics.warning(said.at, `listen: ${address.message}; nothing listens there now`);
    return null;
  }

  #take(service: PerlbalService, address: ListenAddress): boolean {
    const name = formatListenAddress(address);
    const other = this.#taken.get(name);
    if (other === undefined) this.#taken.set(name, service);
    else {
      const { at } = service.settings.get('listen') ?? service;
      this.#diagnostics.warning(at, `the service ${show(other.name)} listens on ${name} already; this one is left out`);
    }
    return other === undefined;
  }

  #besideAddress({ settings }: PerlbalService): { beside?: string } {
    const isPortAlone = /^\d+$/.test(settings.get('listen')?.value ?? '');
    return isPortAlone ? { beside: 'IPv4; for IPv6 as well: "[::]:PORT"' } : {};
  }

  #tls(service: PerlbalService): Entry {
    const files = { cert_file: this.#file(service, 'ssl_cert_file'), key_file: this.#file(service, 'ssl_key_file') };
    const certificate = Object.entries(files).map(([key, value]) => ({ key, value }));
    return { key: 'tls', value: [{ key: 'certificates', value: [{ item: certificate }] }] };
  }

  #file({ settings, at: serviceAt }: PerlbalService, key: keyof typeof FILE_DEFAULTS): string {
    const { value, at } = settings.get(key) ?? { value: FILE_DEFAULTS[key], at: serviceAt };
    const path = resolve(this.#folder, value);
    const reason = unreadableReason(path);
    if (reason !== null) {
      this.#diagnostics.warning(at, `${key}: ${path} cannot be read: ${reason}; write where it is into the result`);
    }
    return path;
  }
}

/** Where a service comes from, for a comment. */
export function originOf({ name, at, lastLine }: PerlbalService): string {
  return `${at.file}:${at.line}${lastLine > at.line ? `-${lastLine}` : ''}: service ${name}`;
}
