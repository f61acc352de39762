/** Before anything is measured: every subject gives the same answers, and sends clients where their cookies say. */

import http from 'node:http';
import https from 'node:https';
import { type Group, SMALL_BYTES } from './groups.ts';
import type { Launched } from './launch.ts';
import { cookieOf, type Node } from './subjects/subject.ts';

const ANSWER_MAX_MS = 10_000;

interface Answer {
  readonly status: number;
  readonly body: string;
  /** Port of the node that answered. */
  readonly node: string;
  /** Bytes of content that it got. */
  readonly received: string;
}

/** Rejects with what is wrong. */
export async function check({ subject, port }: Launched, group: Group, nodes: readonly Node[]): Promise<void> {
  const [answerBytes, uploadBytes] =
    group.kind === 'requests' ? [group.answerBytes, group.uploadBytes] : [SMALL_BYTES, 0];
  for (const node of nodes) {
    const ask = () => answerTo(port, group.isTls, `/${answerBytes}`, cookieOf(node), uploadBytes);
    const answers = [await ask(), await ask()] as const;
    for (const { status, body, received } of answers) {
      if (status !== 200) throw new Error(`it answers ${status}`);
      if (body !== 'x'.repeat(answerBytes)) throw new Error(`its answer has ${body.length} bytes, not ${answerBytes}`);
      if (received !== `${uploadBytes}`) throw new Error(`the node got ${received} bytes, not ${uploadBytes}`);
    }
    const [first, second] = answers.map((answer) => answer.node);
    if (subject.affinity === 'cookie' && (first !== `${node.port}` || second !== first))
      throw new Error(`a cookie of node ${node.port} leads to ${first} and ${second}`);
    if (subject.affinity === 'hash' && first !== second)
      throw new Error(`one cookie leads to ${first} and to ${second}`);
  }
}

function answerTo(port: number, isTls: boolean, path: string, cookie: string, uploadBytes: number): Promise<Answer> {
  const options = {
    host: '127.0.0.1',
    port,
    path,
    agent: false,
    method: uploadBytes > 0 ? 'POST' : 'GET',
    headers: { cookie, ...(uploadBytes > 0 ? { 'content-length': uploadBytes } : {}) },
    rejectUnauthorized: false,
    timeout: ANSWER_MAX_MS,
  };
  return new Promise((resolve, reject) => {
    const request = (isTls ? https : http).request(options, (response) => {
      let body = '';
      response.setEncoding('latin1').on('data', (text) => {
        body += text;
      });
      response.once('error', reject).once('end', () => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, body, node: `${headers['x-node']}`, received: `${headers['x-received']}` });
      });
    });
    request.once('error', reject);
    request.once('timeout', () => request.destroy(new Error(`no answer within ${ANSWER_MAX_MS} ms`)));
    request.end(uploadBytes > 0 ? Buffer.alloc(uploadBytes, 'x') : undefined);
  });
}
