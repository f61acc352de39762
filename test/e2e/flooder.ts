/**
 * A flood from a process of its own: `node flooder.ts PLAIN_PORT TLS_PORT SECONDS`. As many connections as it can make, and
 * 1,000 at a time: that say nothing, talk garbage, begin a request or a handshake and stop. Ends by itself; prints how many
 * there were.
 */

import net from 'node:net';

const [plain = 0, secure = 0, seconds = 0] = process.argv.slice(2).map(Number);
const AT_ONCE = 1_000;
const HELLO = Buffer.from([0x16, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc, 3, 3]);
const KINDS: readonly (readonly [port: number, bytes: string | Buffer])[] = [
  [plain, ''],
  [plain, '\0\x01garbage\r\n\r\n'],
  [plain, 'GET / HTTP/1.1\r\nHost: a\r\n'],
  [plain, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n'],
  [secure, ''],
  [secure, HELLO],
  [secure, 'GET / HTTP/1.1\r\n\r\n'],
];

const open: net.Socket[] = [];
let made = 0;
const end = performance.now() + seconds * 1_000;

function more(): void {
  if (performance.now() > end) {
    for (const socket of open) socket.destroy();
    process.stdout.write(`${made}\n`);
    return;
  }
  for (let i = 0; i < 20; i++) {
    if (open.length >= AT_ONCE) open.shift()?.destroy();
    const [port, bytes] = KINDS[made++ % KINDS.length] as (typeof KINDS)[number];
    const socket = net.connect({ port, host: '127.0.0.1' }, () => socket.write(bytes));
    socket.on('error', () => {});
    open.push(socket);
  }
  setImmediate(more);
}

more();
