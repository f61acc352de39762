/**
 * The backends of all benchmarks: a process that listens on as many ports as its argument says, and tells them by IPC.
 *
 * Answers with as many bytes as the path says, and says in its head which port that was (X-Node) and how long the request's
 * content was (X-Received). On bare sockets, as it shares a core with the load: it reads what proxies send, Content-Length
 * and several requests at once, and answers 411 to chunked content. Nothing to learn from for a server that faces clients.
 */

import net from 'node:net';

const HEAD_END = '\r\n\r\n';
const KEPT_MAX_BYTES = 16_384;
const bodies = new Map<number, string>();

function bodyOf(bytes: number): string {
  const kept = bodies.get(bytes) ?? 'x'.repeat(bytes);
  bodies.set(bytes, kept);
  return kept;
}

function serve(socket: net.Socket): void {
  const place = `X-Node: ${socket.localPort}\r\n`;
  let head = '';
  let target = 0;
  let contentBytes = 0;
  let restBytes = 0;
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());

  const answerOf = (status: string): string =>
    `HTTP/1.1 ${status}\r\n${place}X-Received: ${contentBytes}\r\nContent-Type: text/plain\r\n` +
    `Connection: keep-alive\r\nContent-Length: ${target}\r\n\r\n${bodyOf(target)}`;

  const readHead = (text: string): void => {
    target = Number(/^[A-Z]+ \/(\d+)/.exec(text)?.[1] ?? 0);
    contentBytes = text.startsWith('GET') ? 0 : Number(/\r\ncontent-length: *(\d+)/i.exec(text)?.[1] ?? 0);
    restBytes = contentBytes;
  };

  socket.on('data', (chunk: Buffer) => {
    let at = Math.min(restBytes, chunk.length);
    let answers = '';
    if (restBytes > 0) {
      restBytes -= at;
      if (restBytes > 0) return;
      answers = answerOf('200 OK');
    }
    while (at < chunk.length) {
      head += chunk.toString('latin1', at);
      const end = head.indexOf(HEAD_END);
      if (end < 0) {
        if (head.length > KEPT_MAX_BYTES) socket.destroy();
        break;
      }
      const beyond = head.length - end - HEAD_END.length;
      readHead(head.slice(0, end));
      if (/\r\ntransfer-encoding:/i.test(head.slice(0, end))) {
        socket.end(answerOf('411 Length Required'), 'latin1');
        return;
      }
      head = '';
      const read = Math.min(restBytes, beyond);
      restBytes -= read;
      at = chunk.length - beyond + read;
      if (restBytes === 0) answers += answerOf('200 OK');
    }
    if (answers !== '') socket.write(answers, 'latin1');
  });
}

const servers = Array.from({ length: Number(process.argv[2] ?? 1) }, () => net.createServer(serve));
await Promise.all(
  servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve))),
);
process.send?.(servers.map((server) => (server.address() as net.AddressInfo).port));
process.once('disconnect', () => process.exit());
