/** autocannon against the running program, also while a listener thread dies under it. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { failures, type LoadResult, load, NO_FAILURES } from './autocannon.ts';
import { namedBackend, simpleConfig, startProgram } from './harness.ts';

const CONNECTIONS = 100;
const PROBES = 60;

function loadOf(port: number, cookie: string): Promise<LoadResult> {
  const args = ['-H', `Cookie: ${cookie}`];
  return load(`http://127.0.0.1:${port}/`, { seconds: 10, connections: CONNECTIONS, args });
}

test('autocannon -c 100 -d 10 ends without an error', async (t) => {
  const backends = [await namedBackend(t), await namedBackend(t)];
  const { port, log } = await startProgram(
    t,
    simpleConfig(
      backends.map((b) => b.address),
      { service: ['affinity: yes'], workers: 2 },
    ),
  );
  const result = await loadOf(port, 'X-SERVERID=none');
  assert.deepEqual(failures(result), NO_FAILURES);
  assert.ok(result['2xx'] > 1000);
  assert.deepEqual(
    log.filter((line) => line.level >= 40),
    [],
  );
});

/** Connections that each send one request after another, and what became of them. */
class Probes {
  readonly answered: number[] = [];
  readonly #sockets: net.Socket[] = [];
  readonly #open = new Set<net.Socket>();

  static async open(port: number, count: number): Promise<Probes> {
    const probes = new Probes();
    for (let i = 0; i < count; i++) {
      const socket = net.connect(port, '127.0.0.1');
      await once(socket, 'connect');
      probes.answered.push(0);
      probes.#sockets.push(socket);
      probes.#open.add(socket);
      const send = () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      socket.on('data', () => {
        probes.answered[i] = (probes.answered[i] ?? 0) + 1;
        setImmediate(send);
      });
      socket.on('error', () => {});
      socket.on('close', () => probes.#open.delete(socket));
      send();
    }
    return probes;
  }

  isOpen(i: number): boolean {
    return this.#open.has(this.#sockets[i] as net.Socket);
  }

  /** Resolves when every open connection has been answered `more` times from now on. */
  async progress(more: number): Promise<void> {
    const goal = this.answered.map((n) => n + more);
    while (this.answered.some((n, i) => this.isOpen(i) && n < (goal[i] as number))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

for (const death of ['terminate', 'throw'] as const) {
  test(`a listener thread that dies under load (${death}) takes its own connections with it and no others`, async (t) => {
    const backends = [await namedBackend(t), await namedBackend(t)];
    const yaml = simpleConfig(
      backends.map((b) => b.address),
      { workers: 2 },
    );
    const program = await startProgram(t, yaml, true);
    const probes = await Probes.open(program.port, PROBES);
    t.after(() => probes.close());
    const running = loadOf(program.port, 'a=b');
    await probes.progress(20);
    program.chaos(death);
    await program.logged((line) => line.msg === 'listener thread replaced');
    // one whose thread is gone may have one answer left to be read, and gets no second: its end has been seen by then
    await probes.progress(2);
    const broken = probes.answered.filter((_, i) => !probes.isOpen(i)).length;
    // the kernel spreads connections by their ports: each thread has some of this many, near enough to certainty
    assert.ok(broken > 0 && broken < PROBES, `${broken} of ${PROBES} connections broke`);
    await probes.progress(50);
    assert.equal(probes.answered.filter((_, i) => !probes.isOpen(i)).length, broken, 'a connection broke later');
    const result = await running;
    t.diagnostic(`${broken} of ${PROBES} probes broke; autocannon: ${result.errors} errors, ${result['2xx']} answers`);
    assert.equal(result.non2xx, 0);
    assert.equal(result.timeouts, 0);
    assert.ok(result.errors + result.resets < CONNECTIONS);
    assert.ok(result['2xx'] > 1000);
  });
}
