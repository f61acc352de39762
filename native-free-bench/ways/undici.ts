/** A proxy of node:http's server and undici's pools, by `stream`, which is undici's way to hand an answer on. */

import { Pool } from 'undici';
import { answerBadGateway, byCookie, forwardedHeaders, serve, withoutHopByHop } from './way.ts';

const poolOf = byCookie(({ port }) => new Pool(`http://127.0.0.1:${port}`, { connections: null }));

serve((request, response) => {
  const hasContent = request.headers['content-length'] !== undefined;
  poolOf(request)
    .stream(
      {
        method: request.method as string,
        path: request.url as string,
        headers: forwardedHeaders(request),
        body: hasContent ? request : null,
      },
      ({ statusCode, headers }) => response.writeHead(statusCode, withoutHopByHop(headers)),
    )
    .catch(() => answerBadGateway(response));
});
