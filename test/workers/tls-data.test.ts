/** The data path over TLS: bodies under backpressure both ways, tunnels, half-closes, and connections that break off. */

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { test } from 'node:test';
import type tls from 'node:tls';
import { WebSocket, WebSocketServer } from 'ws';
import { eventually, httpBackend, namedBackend, rawBackend, scriptedBackend } from '../e2e/harness.ts';
import { connectTls, serveTls, VERSIONS, type Version } from './tls-harness.ts';

const MiB = 1024 * 1024;
const BODY = Buffer.alloc(24 * MiB, 'not the same at every place, or a lost block would not show: 0123456789');
const SHA = createHash('sha1').update(BODY).digest('hex');

for (const version of VERSIONS) {
  for (const ownsHandles of [true, false]) {
    const how = `${version}${ownsHandles ? '' : ', without owned handles'}`;
    const means = { ownsHandles };

    test(`${how}: bodies pass whole both ways, at once, and through a client that reads slowly`, async (t) => {
      const backend = await httpBackend(t, (request, response) => {
        const hash = createHash('sha1');
        request.on('data', (chunk) => hash.update(chunk));
        request.on('end', () => {
          response.setHeader('x-sha', hash.digest('hex'));
          response.end(BODY);
        });
      });
      const served = await serveTls(t, { backend, means });
      const results = await Promise.all([post(served.port, version, false), post(served.port, version, true)]);
      for (const { sent, received } of results) assert.deepEqual([sent, received], [SHA, SHA]);
      assert.equal(served.count('responsesTruncated'), 0);
    });

    test(`${how}: while a client does not read, the backend is not read from either`, async (t) => {
      let written = 0;
      const backend = await rawBackend(t, (socket) => {
        socket.once('data', () => {
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${256 * MiB}\r\n\r\n`);
          const more = () => {
            while (written < 256 * MiB) {
              written += MiB;
              if (!socket.write(BODY.subarray(0, MiB))) break;
            }
          };
          socket.on('drain', more);
          more();
        });
      });
      const served = await serveTls(t, { backend, means });
      const { socket } = await connectTls(t, served.port, { version });
      socket.pause();
      socket.write('GET / HTTP/1.1\r\nHost: a.example\r\n\r\n');
      let before = -1;
      await eventually(async () => {
        const stands = before === written && written > 0;
        before = written;
        await new Promise((resolve) => setTimeout(resolve, 200));
        return stands;
      }, 'the backend is read from without end');
      // the kernel's buffers take a few MiB
      assert.ok(written < 64 * MiB, `${written / MiB} MiB`);
      let received = 0;
      socket.on('data', (chunk: Buffer) => {
        received += chunk.length;
      });
      socket.resume();
      await eventually(
        () => received > 256 * MiB,
        () => `only ${received} bytes came`,
        120_000,
      );
    });

    test(`${how}: requests on one connection, sent ahead too, are answered in their order`, async (t) => {
      const backend = await httpBackend(t, (request, response) => {
        response.end(request.url);
      });
      const served = await serveTls(t, { backend, means });
      const client = await connectTls(t, served.port, { version });
      for (const path of ['/1', '/2', '/3']) assert.match(await client.get(path), new RegExp(`\r\n\r\n${path}$`));
      const ahead = Array.from({ length: 40 }, (_, i) => `GET /n${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join('');
      client.socket.write(ahead);
      const text = await client.until((received) => received.endsWith('/n39'));
      assert.deepEqual(
        [...text.matchAll(/\r\n\r\n\/n(\d+)/g)].map(([, n]) => Number(n)),
        Array.from({ length: 40 }, (_, i) => i),
      );
    });

    test(`${how}: a WebSocket passes messages both ways until either side ends it`, async (t) => {
      const sockets = new WebSocketServer({ noServer: true });
      const backend = await httpBackend(t, () => {});
      (backend.server as http.Server).on('upgrade', (request, socket, head) => {
        sockets.handleUpgrade(request, socket as net.Socket, head, (ws) => {
          ws.on('message', (data) => ws.send(data, { binary: true }));
        });
      });
      const served = await serveTls(t, { backend, means });
      const ws = new WebSocket(`wss://127.0.0.1:${served.port}/`, {
        rejectUnauthorized: false,
        minVersion: version,
        maxVersion: version,
      });
      t.after(() => ws.terminate());
      await once(ws, 'open');
      for (const size of [1, 70_000, 3 * MiB]) {
        ws.send(BODY.subarray(0, size));
        const [echo] = (await once(ws, 'message')) as [Buffer];
        assert.ok(echo.equals(BODY.subarray(0, size)));
      }
      assert.equal(served.count('tunnelsOpen'), 1);
      ws.close();
      await once(ws, 'close');
      await eventually(() => served.count('tunnelsOpen') === 0, 'the tunnel is still there');
    });

    test(`${how}: in a tunnel each side's end is passed on by itself`, async (t) => {
      const backend = await rawBackend(t, (socket) => {
        let heard = '';
        socket.on('data', (chunk) => {
          if (heard === '')
            socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n');
          heard += chunk;
        });
        socket.on('end', () => socket.end(`heard: ${heard.split('\r\n\r\n')[1]}`));
      });
      const served = await serveTls(t, { backend, means });
      const client = await connectTls(t, served.port, { version, allowHalfOpen: true } as tls.ConnectionOptions);
      client.socket.write('GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n');
      await client.until((received) => received.includes('101'));
      client.socket.end('all I have to say');
      await client.until((received) => received.endsWith('heard: all I have to say'));
      assert.equal(await client.ended, 'FIN');
    });

    test(`${how}: a client that ends its side after the request gets its answer`, async (t) => {
      const backend = await scriptedBackend(t, (received) =>
        received.includes('\r\n\r\n') ? 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok' : null,
      );
      const served = await serveTls(t, { backend, means });
      const client = await connectTls(t, served.port, { version, allowHalfOpen: true } as tls.ConnectionOptions);
      client.socket.end('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.until((received) => received.endsWith('\r\n\r\nok'));
      assert.equal(await client.ended, 'FIN');
      await eventually(() => served.connections.size === 0, 'the connection is still there');
    });

    test(`${how}: a body until close that breaks off ends in a reset, one that is whole in a FIN`, async (t) => {
      let isBroken = true;
      const backend = await rawBackend(t, (socket) => {
        socket.once('data', () => {
          // HTTP/1.0 clients cannot have chunks: theirs ends with the connection
          socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n', () => {
            if (isBroken) socket.resetAndDestroy();
            else socket.end('4\r\nlast\r\n0\r\n\r\n');
          });
        });
      });
      const served = await serveTls(t, { backend, means });
      for (const [broken, how] of [
        [true, 'ECONNRESET'],
        [false, 'FIN'],
      ] as const) {
        isBroken = broken;
        const client = await connectTls(t, served.port, { version });
        client.socket.write('GET / HTTP/1.0\r\nHost: a\r\n\r\n');
        assert.equal(await client.ended, how);
      }
      await eventually(() => served.connections.size === 0, 'a connection is still there');
      assert.equal(served.count('responsesTruncated'), 1);
    });

    test(`${how}: a client that breaks off within a response lets go of the backend's connection`, async (t) => {
      const { promise: letGo, resolve: onEnd } = Promise.withResolvers<void>();
      const backend = await rawBackend(t, (socket) => {
        socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome'));
        socket.once('end', onEnd);
      });
      const served = await serveTls(t, { backend, means });
      const raw = net.connect({ port: served.port, host: '127.0.0.1' });
      const client = await connectTls(t, served.port, { version, socket: raw });
      client.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.until((received) => received.endsWith('some'));
      raw.resetAndDestroy();
      await letGo;
      await eventually(() => served.connections.size === 0, 'the connection is still there');
      assert.equal(served.count('clientAborts'), 1);
      assert.equal(served.count('connectionsOpen'), 0);
    });
  }
}

test('many connections at once, each with its own bytes: none gets those of another', async (t) => {
  const backend = await httpBackend(t, (request, response) => {
    response.end(`${request.url}`.repeat(3_000));
  });
  const served = await serveTls(t, { backend });
  await Promise.all(
    Array.from({ length: 60 }, async (_, i) => {
      const client = await connectTls(t, served.port, { version: VERSIONS[i % 2] as 'TLSv1.2' });
      for (let n = 0; n < 5; n++) {
        const path = `/c${i}n${n}`;
        const body = (await client.get(path)).split('\r\n\r\n')[1];
        assert.equal(body, path.repeat(3_000));
      }
    }),
  );
});

test('the backend is told that the client spoke TLS, and from where', async (t) => {
  const backend = await scriptedBackend(t, (received) =>
    received.includes('\r\n\r\n') ? 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n' : null,
  );
  const served = await serveTls(t, { backend });
  await (await connectTls(t, served.port)).get();
  assert.match(backend.received[0] ?? '', /X-Forwarded-Proto: https\r\n/);
  assert.match(backend.received[0] ?? '', /X-Forwarded-For: 127\.0\.0\.1\r\n/);
});

test('nothing of the data path is made before the handshake is done', async (t) => {
  const backend = await namedBackend(t);
  const served = await serveTls(t, { backend });
  const { socket } = await connectTls(t, served.port, { version: 'TLSv1.2' });
  await eventually(() => served.connections.size === 1, 'no connection');
  assert.equal(served.count('connectionsTotal'), 1);
  socket.destroy();
  await eventually(() => served.connections.size === 0, 'the connection is still there');
});

/** Posts BODY; resolves to the hash that the backend saw, and to that of what came back. */
function post(port: number, version: Version, readsSlowly: boolean): Promise<{ sent: unknown; received: string }> {
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        port,
        host: '127.0.0.1',
        method: 'POST',
        agent: false,
        rejectUnauthorized: false,
        minVersion: version,
        maxVersion: version,
      },
      (response) => {
        const hash = createHash('sha1');
        response.on('data', (chunk) => {
          hash.update(chunk);
          if (!readsSlowly) return;
          response.pause();
          setImmediate(() => response.resume());
        });
        response.on('end', () => resolve({ sent: response.headers['x-sha'], received: hash.digest('hex') }));
        response.on('error', reject);
      },
    );
    request.on('error', reject);
    request.end(BODY);
  });
}
