/** A proxy of node:http alone: a server, and an Agent that keeps connections. */

import http from 'node:http';
import { pipeline } from 'node:stream';
import { answerBadGateway, byCookie, forwardedHeaders, serve, withoutHopByHop } from './way.ts';

const agent = new http.Agent({ keepAlive: true });
const portOf = byCookie(({ port }) => port);

serve((request, response) => {
  const upstream = http.request({
    agent,
    host: '127.0.0.1',
    port: portOf(request),
    method: request.method as string,
    path: request.url as string,
    headers: forwardedHeaders(request),
  });
  upstream.once('response', (answer) => {
    if (response.destroyed) {
      answer.destroy();
      return;
    }
    response.writeHead(answer.statusCode as number, withoutHopByHop(answer.headers));
    pipeline(answer, response, () => {});
  });
  // behind the end of the request, too: a client that goes takes the connection with it
  upstream.on('error', () => answerBadGateway(response));
  pipeline(request, upstream, () => {});
});
