/** fastify with @fastify/http-proxy, which speaks to the nodes by undici. */

import httpProxy from '@fastify/http-proxy';
import fastify from 'fastify';
import { byCookie, forwardedHeaders, setting, tlsOptions } from './way.ts';

const baseOf = byCookie(({ port }) => `http://127.0.0.1:${port}`);
const tls = tlsOptions();
const app = fastify({
  keepAliveTimeout: 300_000,
  bodyLimit: 64 * 1024 * 1024,
  ...(tls === null ? {} : { https: tls }),
});

app.register(httpProxy, {
  upstream: '',
  replyOptions: {
    getUpstream: (request) => baseOf(request.raw),
    rewriteRequestHeaders: (request, headers) => ({ ...headers, ...forwardedHeaders(request.raw) }),
  },
});
await app.listen({ port: setting.port, host: '127.0.0.1', backlog: 4_096 });
