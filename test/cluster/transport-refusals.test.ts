/** Who is refused, how that is told, and what stays bounded, while honest servers come to no harm. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { encode } from '@msgpack/msgpack';
import { frame } from '../../src/cluster/frames.ts';
import { encodeFrame } from '../../src/cluster/peer-codec.ts';
import { Refusals } from '../../src/cluster/refusals.ts';
import type { Announce, PeerMessage, ServerId } from '../../src/cluster/types.ts';
import { eventually } from '../e2e/harness.ts';
import { createAuthority } from './certificates.ts';
import {
  announceOf,
  authority,
  connect,
  credentialsOf,
  dial,
  fakeServer,
  HOST,
  hello,
  LEAF,
  type Line,
  PEER_ID,
  SUBJECT,
  startGroup,
  text,
  texts,
} from './transport-harness.ts';

/** Each attacks the server at `port`, which must refuse it for `reason`. */
const ATTACKS: Readonly<Record<string, (t: TestContext, port: number) => { reason: string; fields?: object }>> = {
  'a peer without a certificate': (t, port) => {
    dial(t, port, null);
    return { reason: 'no-certificate' };
  },
  'a certificate of another CA': (t, port) => {
    dial(t, port, createAuthority('another CA').issue(SUBJECT));
    return { reason: 'untrusted-certificate' };
  },
  'a certificate that names itself as its CA': (t, port) => {
    dial(t, port, createAuthority('localhost').issue('/CN=localhost'));
    return { reason: 'untrusted-certificate' };
  },
  'a certificate of a CA of the same name': (t, port) => {
    dial(t, port, createAuthority().issue(SUBJECT));
    return { reason: 'untrusted-certificate' };
  },
  'a certificate that has expired': (t, port) => {
    dial(t, port, authority.issue(SUBJECT, new Date(Date.now() - 1000)));
    return { reason: 'untrusted-certificate', fields: { detail: 'CERT_HAS_EXPIRED' } };
  },
  'the wrong subject': (t, port) => {
    dial(t, port, authority.issue('/C=US/O=Yahoo/CN=localhos'));
    return { reason: 'wrong-subject', fields: { detail: '/C=US/O=Yahoo/CN=localhos' } };
  },
  'a subject that only looks right': (t, port) => {
    dial(t, port, authority.issue([[['C', 'US/O=Yahoo/CN=localhost']]]));
    return { reason: 'wrong-subject' };
  },
  'plain text': (t, port) => {
    connect(t, port).write('hello? is this a load balancer?\r\n');
    return { reason: 'not-tls' };
  },
  'a plain HTTP request': (t, port) => {
    connect(t, port).write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    return { reason: 'not-tls' };
  },
  'an older TLS': (t, port) => {
    dial(t, port, LEAF, { maxVersion: 'TLSv1.2' });
    return { reason: 'handshake-failed', fields: { detail: 'ERR_SSL_UNSUPPORTED_PROTOCOL' } };
  },
  'a first frame of 4 GiB': (t, port) => {
    dial(t, port, LEAF).socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 0]));
    return { reason: 'oversized-frame' };
  },
  'a first frame of more than 4 KiB': (t, port) => {
    dial(t, port, LEAF).socket.write(Buffer.from([0, 0, 0x10, 1]));
    return { reason: 'oversized-frame' };
  },
  'a later frame of 4 GiB': (t, port) => {
    dial(t, port, LEAF).socket.write(Buffer.concat([hello(), Buffer.from([0xff, 0xff, 0xff, 0xff])]));
    return { reason: 'oversized-frame', fields: { serverId: PEER_ID } };
  },
  'a first frame that is no message': (t, port) => {
    dial(t, port, LEAF).socket.write(frame(Buffer.from('hello')));
    return { reason: 'bad-frame' };
  },
  'a first frame that is no hello': (t, port) => {
    dial(t, port, LEAF).socket.write(frame(encodeFrame(text('hello'))));
    return { reason: 'bad-frame' };
  },
  'a later frame that is no message': (t, port) => {
    dial(t, port, LEAF).socket.write(Buffer.concat([hello(), frame(Buffer.alloc(1000, 0x91))]));
    return { reason: 'bad-frame' };
  },
  'a second hello': (t, port) => {
    dial(t, port, LEAF).socket.write(Buffer.concat([hello(), hello()]));
    return { reason: 'bad-frame' };
  },
  'another version': (t, port) => {
    dial(t, port, LEAF).socket.write(frame(encode({ type: 'hello', version: 2 })));
    return { reason: 'wrong-version' };
  },
  'a server that is not listed': (t, port) => {
    dial(t, port, LEAF).socket.write(hello({ serverId: 77 }));
    return { reason: 'unknown-server', fields: { serverId: 77 } };
  },
  'a hello to another server': (t, port) => {
    dial(t, port, LEAF).socket.write(hello({ to: 2 }));
    return { reason: 'wrong-address' };
  },
  'somebody who claims our own id': (t, port) => {
    dial(t, port, LEAF).socket.write(hello({ serverId: 1 }));
    return { reason: 'own-id', fields: { serverId: 1 } };
  },
};

for (const [what, attack] of Object.entries(ATTACKS)) {
  test(`refused, counted and reported, and no harm to others: ${what}`, async (t) => {
    const [a, b] = await startGroup(t, 2, { extra: [PEER_ID] });
    const { reason, fields } = attack(t, a.port);
    await eventually(() => a.refusals(reason) === 1, `a refusal for ${reason}, of ${JSON.stringify(a.lines)}`);
    const line = a.lines.find((one) => one.level === 'warn' && one.fields.reason === reason) as Line;
    assert.match(String(line.fields.address), /^127\.0\.0\.1:\d+$/);
    for (const [name, value] of Object.entries(fields ?? {})) assert.deepEqual(line.fields[name], value);
    b.transport.send(1, text('still here'));
    await eventually(() => texts(a).length > 0, 'a message of an honest peer');
    assert.deepEqual(texts(a), ['2: still here']);
    assert.deepEqual(b.links, ['+1']);
  });
}

test('the connection of a refused peer is closed', async (t) => {
  const [a] = await startGroup(t, 1, { extra: [PEER_ID] });
  for (const bytes of [hello({ serverId: 77 }), Buffer.from([255, 255, 255, 255]), frame(Buffer.from('x'))]) {
    const peer = dial(t, a.port, LEAF);
    peer.socket.write(bytes);
    await peer.closed;
    // one that is not in the list is told that there is a cluster, and nothing else
    assert.ok(peer.frames.every(({ type }) => type === 'hello') && peer.frames.length <= 1);
  }
});

test('a message that the receiver refuses closes the connection for its reason', async (t) => {
  const onMessage = (_: ServerId, message: PeerMessage) => (message.type === 'announce' ? null : 'other-cluster');
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { onMessage } });
  const peer = dial(t, a.port, LEAF);
  peer.socket.write(Buffer.concat([hello(), frame(encodeFrame(text('x'))), frame(encodeFrame(text('y')))]));
  await peer.closed;
  assert.equal(a.refusals('other-cluster'), 1);
});

test('a server of another cluster hears our hello before it is closed', async (t) => {
  const heard: Announce[] = [];
  const onMessage = (_: ServerId, message: PeerMessage) => {
    heard.push(message as Announce);
    return 'other-cluster';
  };
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { onMessage } });
  const peer = dial(t, a.port, LEAF);
  peer.socket.write(hello());
  await peer.closed;
  assert.deepEqual(heard, [announceOf(PEER_ID)]);
  assert.deepEqual(
    peer.frames.map((one) => one.type),
    ['hello'],
  );
  assert.equal(a.refusals('other-cluster'), 1);
});

for (const [what, leaf, reason] of [
  ['the wrong subject', authority.issue('/CN=mallory'), 'wrong-subject'],
  ['a certificate of another CA', createAuthority('another CA').issue(SUBJECT), 'untrusted-certificate'],
] as const) {
  test(`a server that is dialled and has ${what} is told nothing`, async (t) => {
    const [a] = await startGroup(t, 1);
    const fake = await fakeServer(t, leaf);
    a.transport.setServers([{ serverId: PEER_ID, address: HOST, port: fake.port }]);
    await eventually(() => a.refusals(reason) > 0, `a refusal for ${reason}`);
    const line = a.lines.find((one) => one.fields.reason === reason) as Line;
    assert.equal(line.fields.serverId, PEER_ID);
    assert.equal(line.fields.address, `${HOST}:${fake.port}`);
    assert.deepEqual(fake.frames, []);
    assert.deepEqual(a.links, []);
  });
}

test('a server that is dialled and is another one is refused', async (t) => {
  const [a] = await startGroup(t, 1);
  const fake = await fakeServer(t, LEAF, (socket) => socket.write(hello({ serverId: 8 })));
  a.transport.setServers([{ serverId: PEER_ID, address: HOST, port: fake.port }]);
  await eventually(() => a.refusals('wrong-address') > 0, 'a refusal');
  assert.deepEqual(a.links, []);
});

test('a server whose address in the list is our own is refused', async (t) => {
  const [a] = await startGroup(t, 1);
  a.transport.setServers([{ serverId: 2, address: HOST, port: a.port }]);
  await eventually(() => a.refusals('own-id') > 0, 'a refusal');
  assert.deepEqual(a.links, []);
});

test('with no subject expected, any certificate of the CA is let in', async (t) => {
  const credentials = await credentialsOf(t, authority.issue('/CN=anybody'), [authority], '');
  const [, b] = await startGroup(t, 2, { options: { credentials } });
  assert.deepEqual(b.links, ['+1']);
});

test('a TLS session is never resumed', async (t) => {
  const [a] = await startGroup(t, 1, { extra: [PEER_ID] });
  const first = dial(t, a.port, LEAF);
  const tickets: Buffer[] = [];
  first.socket.on('session', (ticket: Buffer) => tickets.push(ticket));
  first.socket.write(hello());
  await eventually(() => first.frames.length > 0 && tickets.length > 0, 'a hello and a ticket');
  for (const session of tickets) {
    const second = dial(t, a.port, LEAF, { session });
    second.socket.write(hello());
    await eventually(() => second.frames.length > 0, 'a hello');
    assert.equal(second.socket.isSessionReused(), false);
    // the ticket of one that was let in is of no use to somebody else
    dial(t, a.port, null, { session });
  }
  await eventually(() => a.refusals('no-certificate') === tickets.length, 'a refusal for each');
});

test('many refusals for one reason are counted, and told in a line a second', async (t) => {
  const [a] = await startGroup(t, 1, { options: { limits: OPEN_DOOR } });
  for (let i = 0; i < 50; i += 1) connect(t, a.port).write('plain text\n');
  await eventually(() => a.refusals('not-tls') === 50, 'all refusals');
  const told = () => a.lines.filter((one) => one.fields.reason === 'not-tls');
  assert.ok(told().length <= 3);
  const sum = () => told().reduce((all, one) => all + 1 + Number(one.fields.suppressed ?? 0), 0);
  await eventually(() => sum() === 50, 'the suppressed ones to be told');
});

/** Every connection is let in. */
const OPEN_DOOR = { peerRate: { perSecond: 1e6, burst: 1e6 }, strangerRate: { perSecond: 1e6, burst: 1e6 } };

/** So long that what is closed within a test is closed for another reason. */
const PATIENT = { ...OPEN_DOOR, handshakeTimeoutMs: 60_000, helloTimeoutMs: 60_000, idleTimeoutMs: 60_000 };

test('the longer it goes on, the rarer are the lines, and none is left untold', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const told: number[] = [];
  const refusals = new Refusals((_level, _message, fields) => {
    told.push(1 + Number((fields as { suppressed?: number }).suppressed ?? 0));
  });
  for (let second = 0; second < 600; second += 1) {
    refusals.add('x', {});
    t.mock.timers.tick(1000);
  }
  const sum = () => told.reduce((a, b) => a + b);
  assert.ok(told.length < 20, `${told.length} lines of 600`);
  refusals.close();
  assert.equal(sum(), 600);
  refusals.add('x', {});
  t.mock.timers.tick(120_000);
  refusals.add('x', {});
  t.mock.timers.tick(1_000);
  assert.deepEqual(told.slice(-2), [1, 1], 'after two quiet minutes it begins anew');
  refusals.close();
});

test('a thousand connections that say nothing do not keep an honest server out', async (t) => {
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits: PATIENT } });
  const silent = Array.from({ length: 1000 }, () => connect(t, a.port));
  await eventually(() => a.refusals('silent') >= 1000 - 128, 'the oldest to be closed');
  const honest = dial(t, a.port, LEAF);
  honest.socket.write(hello());
  await eventually(() => honest.frames.length > 0, 'a hello');
  await eventually(() => silent.filter((socket) => !socket.closed).length <= 128, 'a bounded number to be left');
  assert.ok(a.lines.length < 20);
});

test('two hundred connections with a good certificate and no hello do not keep an honest server out', async (t) => {
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits: PATIENT } });
  const silent = Array.from({ length: 200 }, () => dial(t, a.port, LEAF));
  await eventually(() => a.refusals('silent') >= 200 - 128, 'the oldest to be closed');
  const honest = dial(t, a.port, LEAF);
  honest.socket.write(hello());
  await eventually(() => honest.frames.length > 0, 'a hello');
  await eventually(() => silent.filter(({ socket }) => !socket.closed).length <= 128, 'a bounded number to be left');
});

test('a connection that is silent before TLS, or after it, is closed in time, even one that dribbles', async (t) => {
  const limits = { handshakeTimeoutMs: 300, helloTimeoutMs: 300 };
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits } });
  const beforeTls = connect(t, a.port);
  const dribbling = connect(t, a.port);
  const timer = setInterval(() => dribbling.write('\x16'), 20);
  t.after(() => clearInterval(timer));
  dribbling.write('\x16\x03\x01\x40\x00');
  const afterTls = dial(t, a.port, LEAF);
  // however they end: what one dribbles may meet a reset
  const closed = [beforeTls, dribbling].map(
    (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
  );
  await Promise.all([...closed, afterTls.closed]);
  assert.equal(a.refusals('silent'), 3);
});

/** Another address of this machine, at which no server is dialled. */
const STRANGER = { localAddress: '127.0.0.2' };

test('strangers are let in at a rate of their own, and the others come in meanwhile', async (t) => {
  const strangerRate = { perSecond: 1 / 3600, burst: 20 };
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits: { ...PATIENT, strangerRate } } });
  const strangers = Array.from({ length: 300 }, () => connect(t, a.port, STRANGER));
  await eventually(() => a.refusals('too-many') === 280, 'a refusal of all but twenty');
  assert.equal(a.transport.counters.accepted, 20);
  assert.equal(strangers.filter((socket) => !socket.closed).length, 20);
  const honest = dial(t, a.port, LEAF);
  honest.socket.write(hello());
  await eventually(() => honest.frames.length > 0, 'a hello');
  const line = a.lines.find((one) => one.fields.reason === 'too-many') as Line;
  assert.match(String(line.fields.address), /^127\.0\.0\.2:\d+$/);
});

test('a listed server that comes from another address than it is dialled at comes in again while strangers do not', async (t) => {
  const strangerRate = { perSecond: 1 / 3600, burst: 2 };
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits: { ...PATIENT, strangerRate } } });
  const first = dial(t, a.port, LEAF, STRANGER);
  first.socket.write(hello());
  await eventually(() => first.frames.length > 0, 'a hello');
  const strangers = Array.from({ length: 3 }, () => connect(t, a.port, { localAddress: '127.0.0.3' }));
  await eventually(() => strangers.filter(({ closed }) => closed).length === 2, 'no more strangers');
  const again = dial(t, a.port, LEAF, STRANGER);
  again.socket.write(hello());
  await eventually(() => again.frames.length > 0, 'a hello');
});

test("a listed server's address has a rate too", async (t) => {
  const peerRate = { perSecond: 1 / 3600, burst: 5 };
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits: { ...PATIENT, peerRate } } });
  for (let i = 0; i < 20; i += 1) connect(t, a.port);
  await eventually(() => a.refusals('too-many') === 15, 'a refusal of all but five');
});

test('strangers make way for each other, and for listed servers, before a listed server does', async (t) => {
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits: { ...PATIENT, silentMax: 8 } } });
  const expected = Array.from({ length: 4 }, () => connect(t, a.port));
  await Promise.all(expected.map((socket) => once(socket, 'connect')));
  const strangers = Array.from({ length: 100 }, () => connect(t, a.port, STRANGER));
  await eventually(() => a.refusals('silent') === 96, 'the oldest strangers to be closed');
  await eventually(() => strangers.filter((socket) => !socket.closed).length === 4, 'four strangers to be left');
  assert.equal(expected.filter((socket) => socket.closed).length, 0);
});

test('a new connection of a server replaces its old one', async (t) => {
  const [a] = await startGroup(t, 1, { extra: [PEER_ID], options: { limits: PATIENT } });
  let last = dial(t, a.port, LEAF);
  last.socket.write(hello());
  await eventually(() => last.frames.length > 0, 'a hello');
  for (let i = 0; i < 5; i += 1) {
    const next = dial(t, a.port, LEAF);
    next.socket.write(hello());
    await eventually(() => last.socket.closed, 'the end of the old one');
    last = next;
  }
  await eventually(() => last.frames.length > 0, 'a hello');
  assert.equal(last.socket.closed, false);
});

test('what waits for a server that does not read stays bounded', async (t) => {
  // pings would be counted as well
  const [a] = await startGroup(t, 1, { options: { limits: { pingIntervalMs: 600_000 } } });
  const fake = await fakeServer(t, LEAF, (socket) => {
    socket.write(hello());
    socket.pause();
  });
  a.transport.setServers([{ serverId: PEER_ID, address: HOST, port: fake.port }]);
  await eventually(() => a.links.length > 0, 'the link');
  const big = text('x'.repeat(256 * 1024));
  for (let i = 0; i < 400; i += 1) {
    a.transport.send(PEER_ID, big);
    await new Promise(setImmediate);
  }
  const { bytesOut, dropped, framesOut } = a.transport.counters;
  // 4 MiB here, and what the kernel takes
  assert.ok(bytesOut < 32 * 1024 * 1024, `${bytesOut} bytes`);
  assert.equal(framesOut - 1 + dropped, 400);
  assert.deepEqual(a.links, [`+${PEER_ID}`]);
});
