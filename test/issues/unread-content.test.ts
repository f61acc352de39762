/**
 * Bugs that the conformance suite found: connections to a backend that might not have read a request's content were used
 * again, so that the content could become another client's request. Each of these failed before its fix.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { exchange, rawBackend, simpleConfig, startSound } from '../e2e/harness.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const CONTINUE = 'HTTP/1.1 100 Continue\r\n\r\n';
const CONTENT = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

/** What each connection of a backend receives from two clients, of whom the first sends `head` with CONTENT. */
async function received(t: TestContext, head: string, answer: string): Promise<string[]> {
  const connections: string[] = [];
  const backend = await rawBackend(t, (socket) => {
    const index = connections.push('') - 1;
    socket.on('data', (chunk) => {
      connections[index] += chunk.toString('latin1');
      const text = connections[index] as string;
      if (text.endsWith(CONTENT)) socket.write(answer);
      else if (text.includes('/next') && text.endsWith('\r\n\r\n')) socket.write(OK);
    });
    socket.on('end', () => socket.end());
  });
  const { port } = await startSound(t, simpleConfig([backend.address]));
  const isWhole = (text: string) => /200 OK[\s\S]*\r\n\r\n/.test(text);
  await exchange(port, `${head}Host: a\r\nContent-Length: ${CONTENT.length}\r\n\r\n${CONTENT}`, { isWhole });
  await exchange(port, 'GET /next HTTP/1.1\r\nHost: a\r\n\r\n', { isWhole });
  return connections;
}

for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) {
  test(`content of ${method}, which a backend may not read, is the last on its connection (RFC 9110 section 9.3)`, async (t) => {
    const answer = method === 'HEAD' ? `${OK.slice(0, -2)}` : OK;
    const head = `${method} / HTTP/1.1\r\n`;
    const connections = await received(t, head, answer);
    assert.equal(connections.length, 2);
    assert.match(connections[0] ?? '', /\r\nConnection: close\r\n/);
  });
}

test('content of POST leaves the connection to the next request', async (t) => {
  const connections = await received(t, 'POST / HTTP/1.1\r\n', OK);
  assert.equal(connections.length, 1);
  assert.doesNotMatch(connections[0] ?? '', /\r\nConnection:/);
});

test('a backend that answers Expect: 100-continue without a 100 may not have read the content', async (t) => {
  const head = 'POST / HTTP/1.1\r\nExpect: 100-continue\r\n';
  assert.equal((await received(t, head, OK)).length, 2);
  assert.equal((await received(t, head, CONTINUE + OK)).length, 1);
});
