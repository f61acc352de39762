/**
 * What a backend does on a kept connection in the turn in which that is used again: an answer is not the next request's, which
 * waits to go out, and a reset is not its end.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type Client, eventually } from '../e2e/harness.ts';
import { type Asked, answerTo, get, gets, type PipelineSite, servePipelined } from './pipeline-harness.ts';

/** A client whose next request takes the one connection to the backend, which sends an answer at the same moment. */
async function overtaken(t: TestContext, request: string): Promise<{ site: PipelineSite; client: Client }> {
  const site = await servePipelined(t, { pipelining: 1 });
  const [client] = site.askFor('/first') as [Client];
  await gets(client, '/first');
  await eventually(() => site.context.limits.idleUpstreams.size === 1, 'the connection is not idle');
  client.socket.write(request);
  (site.backend.asked[0] as Asked).socket.write(answerTo({ path: '/stale' }));
  await client.until((text) => /(HTTP\/1.1 .*){2}\r\n\r\n./s.test(text));
  return { site, client };
}

for (const request of [get('/own'), 'POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n']) {
  test(`${request.split(' ')[0]} without content gets its own answer, on another connection`, async (t) => {
    const { site, client } = await overtaken(t, request);
    await client.until((text) => text.endsWith('/own'));
    assert.doesNotMatch(client.received, /stale/);
    assert.equal(site.backend.asked.at(-1)?.connection, 1);
    assert.equal(site.backend.asked.length, 2);
  });
}

test('a request with content is refused, and was not sent', async (t) => {
  const { site, client } = await overtaken(t, 'POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi');
  assert.match(client.received, /HTTP\/1.1 502 /);
  assert.doesNotMatch(client.received, /stale/);
  await eventually(() => site.backend.sockets[0]?.readableEnded === true, 'the connection is still open');
  assert.equal(site.backend.asked.length, 1);
});

test('a kept connection that is reset at that moment is not used, whatever the request', async (t) => {
  for (const pipelining of [1, 8]) {
    const site = await servePipelined(t, { pipelining });
    const [client] = site.askFor('/first') as [Client];
    await gets(client, '/first');
    await eventually(() => site.context.limits.idleUpstreams.size === 1, 'the connection is not idle');
    site.backend.sockets[0]?.resetAndDestroy();
    const request = pipelining === 1 ? 'POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi' : get('/own');
    client.socket.write(request);
    await client.until((text) => /(HTTP\/1.1 .*){2}\r\n\r\n./s.test(text));
    assert.match(client.received, /\/own$/);
    assert.equal(site.backend.sockets.length, 2);
    await eventually(() => site.count('upstreamsOpen') === site.context.limits.idleUpstreams.size, 'one is lost');
    assert.equal(site.count('upstreamsOpen'), 1);
  }
});
