/**
 * GET / and the files of the page beside this one. They hold no data, so they are served without a token: the page asks for
 * it. Main thread.
 */

import { readFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Served to whoever may speak to this server, with or without a token. */
    readonly isPage?: true;
  }
}

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

const PAGE = 'index.html';
export const DASHBOARD_FILES = [
  PAGE,
  'style.css',
  'icon.svg',
  'icon-trouble.svg',
  'actions.js',
  'cluster-view.js',
  'dom.js',
  'edge-client.js',
  'feed.js',
  'format.js',
  'history.js',
  'keys-timeline.js',
  'keys-view.js',
  'main.js',
  'node-row.js',
  'pool-section.js',
  'pools-view.js',
  'sparkline.js',
  'theme.js',
  'totals-view.js',
  'trouble.js',
  'verdict-view.js',
  'workers-view.js',
] as const;

const HEADERS = {
  // names come from configurations and peers; nothing in the page may ever run or load because of one
  'Content-Security-Policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; '),
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
} as const;

export function defineDashboard(app: FastifyInstance): void {
  for (const name of DASHBOARD_FILES) {
    const body = readFileSync(new URL(name, import.meta.url));
    const type = TYPES[name.slice(name.lastIndexOf('.') + 1)] ?? '';
    const path = name === PAGE ? '/' : `/dashboard/${name}`;
    app.get(path, { config: { isPage: true } }, (_request, reply) => reply.headers(HEADERS).type(type).send(body));
  }
}
