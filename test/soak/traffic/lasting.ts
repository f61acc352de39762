/** Connections that last: tunnels, event streams, slow readers and senders, idle ones. */

import { setTimeout as sleep } from 'node:timers/promises';
import { bodyOf, digestOf, eventText, LARGE_BYTES, SMALL_BYTES } from '../bodies.ts';
import type { Client, Trial } from '../client.ts';
import { WireError } from '../wire-client.ts';
import { pieces } from './requests.ts';

const ECHO_WAIT_MS = 15_000;
const IDLE_MS_MAX = 9_000;
/** `header_timeout` of the edges, and how much later a busy machine may close. */
const HEADER_MS = 5_000;
const SILENT_SLACK_MS = 8_000;
const EARLY_MS_MAX = 1_000;

/** An upgraded connection that echoes. */
export async function tunnel(client: Client, trial: Trial): Promise<void> {
  const { random } = client.world;
  const connection = await client.connect(trial);
  const id = client.name(trial);
  connection.write(client.head(trial, 'GET', `/echo/${id}`, 'Connection: Upgrade', 'Upgrade: echo'));
  const { status } = await client.expect(trial, null);
  if (status !== 101) throw new WireError('wrong', `status ${status} in place of 101`);
  let [received, wake] = [Buffer.alloc(0), () => {}];
  connection.onTunnelBytes = (bytes) => {
    received = Buffer.concat([received, bytes]);
    wake();
  };
  void connection.closed.then(() => wake());
  for (let left = random.between(5, 60); left > 0 && !client.isEnding; left--) {
    const sent = bodyOf(`${id}-${left}`, random.between(50, 5_000));
    received = Buffer.alloc(0);
    connection.write(sent);
    const untilMs = performance.now() + ECHO_WAIT_MS;
    while (received.length < sent.length && !connection.isOver) {
      if (performance.now() > untilMs) throw new WireError('timeout', 'no echo');
      await Promise.race([
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
        sleep(ECHO_WAIT_MS, undefined, { ref: false }),
      ]);
    }
    if (received.length < sent.length) throw new WireError('tunnel-cut', `after ${received.length} bytes`);
    if (!received.equals(sent)) throw new WireError('wrong', 'another echo');
    await client.pause(random.next() * 400);
    if (connection.isOver && !client.isEnding) throw new WireError('tunnel-cut', 'while idle');
  }
  client.ok();
}

/** Events, one after another, for some seconds. */
export async function events(client: Client, trial: Trial): Promise<void> {
  const connection = await client.connect(trial);
  const count = client.world.random.between(5, 50);
  const id = client.name(trial);
  connection.write(client.head(trial, 'GET', `/sse/${id}/${count}`));
  const texts = Array.from({ length: count }, (_, i) => eventText(id, i));
  await client.expect(trial, Buffer.from(texts.join('')));
  client.ok();
}

/** Reads an answer of 1 MiB in sips. */
export async function slowReader(client: Client, trial: Trial): Promise<void> {
  const { socket } = await client.connect(trial);
  const id = client.name(trial);
  const sip = setInterval(() => {
    if (socket.isPaused()) socket.resume();
    else socket.pause();
  }, 100);
  try {
    socket.write(client.head(trial, 'GET', `/large/${id}`));
    await client.expect(trial, bodyOf(id, LARGE_BYTES));
    client.ok();
  } finally {
    clearInterval(sip);
  }
}

/** Sends head and body bit by bit. */
export async function slowSender(client: Client, trial: Trial): Promise<void> {
  const { random } = client.world;
  const connection = await client.connect(trial);
  const id = client.name(trial);
  const body = bodyOf(id, random.between(500, 20_000));
  const head = Buffer.from(client.head(trial, 'POST', `/post/${id}`, `Content-Length: ${body.length}`));
  const answer = client.expect(trial, Buffer.from(digestOf(body)));
  answer.catch(() => {});
  const [headPieces, bodyPieces] = [pieces(head, 5), pieces(body, 10)];
  const beganMs = performance.now();
  let headMs = 0;
  for (const [i, piece] of [...headPieces, ...bodyPieces].entries()) {
    if (connection.isOver) break;
    connection.write(piece);
    if (i < headPieces.length) headMs = performance.now() - beganMs;
    await sleep(random.between(20, 250));
  }
  try {
    await answer;
  } catch (error) {
    // a busy machine made this client slower than the edges allow
    if (headMs > HEADER_MS / 2 && error instanceof WireError && error.message === 'status 408') return;
    throw error;
  }
  client.ok();
}

/** A kept connection that rests for seconds between its requests. */
export async function idle(client: Client, trial: Trial): Promise<void> {
  const connection = await client.connect(trial);
  for (let left = 3; left > 0 && !client.isEnding; left--) {
    const id = client.name(trial);
    connection.write(client.head(trial, 'GET', `/small/${id}`));
    const response = await client.expect(trial, bodyOf(id, SMALL_BYTES));
    client.ok();
    await Promise.race([client.pause(client.world.random.next() * IDLE_MS_MAX), connection.closed]);
    if (!client.isKept(trial, response)) return;
  }
}

/** Says nothing, and is sent away. */
export async function silent(client: Client, trial: Trial): Promise<void> {
  client.name(trial);
  const beganMs = performance.now();
  const connection = await client.connect(trial);
  await Promise.race([client.pause(HEADER_MS + SILENT_SLACK_MS), connection.closed]);
  if (client.isEnding) return;
  if (!connection.isOver) throw new WireError('wrong', 'a connection that says nothing is still open');
  // early by as long as its thread has just stood still, if that was less than a second (timer-wheel.ts)
  if (connection.overMs - beganMs < HEADER_MS - EARLY_MS_MAX)
    throw new WireError('broken', 'closed before header_timeout');
  client.ok();
}
