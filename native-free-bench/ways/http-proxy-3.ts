/** A proxy of node:http's server and http-proxy-3, with an Agent that keeps connections. */

import http from 'node:http';
import { createProxyServer } from 'http-proxy-3';
import { answerBadGateway, byCookie, serve } from './way.ts';

const agent = new http.Agent({ keepAlive: true });
const targetOf = byCookie(({ port }) => `http://127.0.0.1:${port}`);
const proxy = createProxyServer({ agent, xfwd: true });

serve((request, response) => {
  proxy.web(request, response, { target: targetOf(request) }, () => answerBadGateway(response));
});
