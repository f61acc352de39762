/**
 * However a stream is cut into pieces, its reading is the same: RFC 9112 knows no packets. The pieces come as they do
 * to workers/downstream.ts and workers/exchange.ts, in a reused buffer full of other bytes.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { BodyReader } from '../../../workers/http1/body-reader.ts';
import { FAULTY, INCOMPLETE } from '../../../workers/http1/errors.ts';
import { BODY } from '../../../workers/http1/framing.ts';
import { RequestHead } from '../../../workers/http1/request-head.ts';
import { ResponseHead } from '../../../workers/http1/response-head.ts';
import { chunkedStream, requestStream, responseStream, withMutants } from '../../fuzz/messages.ts';
import { feedInPieces } from '../../fuzz/own-reading.ts';
import { type Reading, readRequestsAt, readResponsesAt } from '../../fuzz/splits.ts';

const SEED = Number(process.env.FUZZ_SEED ?? Date.now() >>> 0);
const SMALL = { headBytesMax: 120, headersMax: 5, targetBytesMax: 20 };
const cuts = fc.array(fc.nat(600), { maxLength: 6 });

function readRequests(bytes: Buffer, at: readonly number[], limits = SMALL): Reading {
  return readRequestsAt(bytes, at, limits);
}

function readResponses(bytes: Buffer, at: readonly number[], isHead: boolean, limits = SMALL): Reading {
  return readResponsesAt(bytes, at, isHead, limits);
}

function everyCut(length: number): number[][] {
  return Array.from({ length: Math.max(length - 1, 0) }, (_, i) => [i + 1]);
}

const eachByte = (bytes: Buffer) => Array.from({ length: bytes.length }, (_, i) => i);

const REQUESTS = {
  'a plain GET': 'GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nCookie: x=y\r\nConnection: keep-alive\r\n\r\n',
  'two pipelined': '\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.0\r\nHost: b\r\n\r\n',
  'a body by length':
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world' + 'HEAD / HTTP/1.1\r\nHost: a\r\n\r\n',
  'a chunked body with extensions and trailers':
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b;c="d\\"e"\r\nhello\r\n0A\r\n0123456789\r\n0;x\r\n' +
    'X-T: 1\r\nContent-Length: 3\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
  'an absolute target': 'OPTIONS http://h:80?x HTTP/1.1\r\nHost: other\r\nX-Forwarded-For: 1\r\n\r\n',
  'an upgrade': 'GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
  'another version': 'GET / HTTP/2.0\r\nHost: a\r\n\r\n',
  'a later minor version': 'GET / HTTP/1.2\r\nHost: a\r\n\r\n',
  'no version': 'GET / HTTP/x.y\r\nHost: a\r\n\r\n',
  'a target too long': `GET /${'a'.repeat(30)} HTTP/1.1\r\nHost: a\r\n\r\n`,
  'a head too large': `GET / HTTP/1.1\r\nHost: a\r\nX: ${'a'.repeat(120)}\r\n\r\n`,
  'too many fields': `GET / HTTP/1.1\r\nHost: a\r\n${'A:b\r\n'.repeat(5)}\r\n`,
  'a line that ends in LF': 'GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n',
  'a bare CR': 'GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n',
  'obs-fold': 'GET / HTTP/1.1\r\nHost: a\r\n X: y\r\n\r\n',
  'a bad chunk size':
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3 \r\nabc\r\n0\r\n\r\n',
  'a chunk longer than its size':
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n',
};

const RESPONSES = {
  'a body by length': 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1',
  'interim responses first': 'HTTP/1.1 100\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n',
  'a chunked body': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\nHost: c\r\n\r\nx',
  'a body until close': 'HTTP/1.0 200 \r\nServer: x\r\n\r\nabc\r\n\r\n',
  'a faulty status line': 'HTTP/1.1 2000 OK\r\n\r\n',
  'a head too large': `HTTP/1.1 200 ${'x'.repeat(120)}\r\n\r\n`,
};

for (const [name, text] of Object.entries(REQUESTS)) {
  test(`a request stream, ${name}: every split gives the same reading`, () => {
    const bytes = Buffer.from(text, 'latin1');
    const whole = readRequests(bytes, []);
    for (const at of everyCut(bytes.length)) assert.deepEqual(readRequests(bytes, at), whole, `cut at ${at}`);
    assert.deepEqual(readRequests(bytes, eachByte(bytes)), whole, 'byte by byte');
  });
}

for (const [name, text] of Object.entries(RESPONSES)) {
  test(`a response stream, ${name}: every split gives the same reading`, () => {
    const bytes = Buffer.from(text, 'latin1');
    for (const isHead of [false, true]) {
      const whole = readResponses(bytes, [], isHead);
      for (const at of everyCut(bytes.length))
        assert.deepEqual(readResponses(bytes, at, isHead), whole, `cut at ${at}`);
      assert.deepEqual(readResponses(bytes, eachByte(bytes), isHead), whole, 'byte by byte');
    }
  });
}

test('any split of any stream of requests, valid or not, gives the same reading', () => {
  const limits = { headBytesMax: 400, headersMax: 8, targetBytesMax: 40 };
  fc.assert(
    fc.property(withMutants(requestStream), cuts, (text, at) => {
      const bytes = Buffer.from(text, 'latin1');
      const whole = readRequests(bytes, [], limits);
      assert.deepEqual(readRequests(bytes, at, limits), whole);
      assert.deepEqual(readRequests(bytes, eachByte(bytes), limits), whole);
    }),
    { seed: SEED, numRuns: 1500 },
  );
});

test('any split of any stream of responses, valid or not, gives the same reading', () => {
  const limits = { headBytesMax: 300, headersMax: 8, targetBytesMax: 40 };
  fc.assert(
    fc.property(withMutants(responseStream), cuts, fc.boolean(), (text, at, isHead) => {
      const bytes = Buffer.from(text, 'latin1');
      const whole = readResponses(bytes, [], isHead, limits);
      assert.deepEqual(readResponses(bytes, at, isHead, limits), whole);
      assert.deepEqual(readResponses(bytes, eachByte(bytes), isHead, limits), whole);
    }),
    { seed: SEED, numRuns: 1500 },
  );
});

test('what goes on of a faulty chunked body before its fault is a prefix of the bytes that stand there', () => {
  fc.assert(
    fc.property(chunkedStream, cuts, (text, at) => {
      const bytes = Buffer.from(text, 'latin1');
      const read = (places: readonly number[]) => {
        const body = new BodyReader();
        let framed = '';
        body.begin(BODY.chunked, 0, true);
        feedInPieces(
          {
            feed(piece, start, end) {
              if (body.fault !== null) return;
              body.read(piece, start, end, (b, s, e) => {
                framed += b.toString('latin1', s, e);
              });
            },
          },
          bytes,
          places,
        );
        return { framed, fault: body.fault, done: body.done };
      };
      const byByte = read(eachByte(bytes));
      const split = read(at);
      assert.equal(split.fault, byByte.fault);
      assert.equal(split.done, byByte.done);
      if (split.fault === null) assert.equal(split.framed, byByte.framed);
      else assert(byByte.framed.startsWith(split.framed), 'never more than byte by byte');
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

test('a prefix of a head is incomplete, or gives the verdict of the whole at once', () => {
  fc.assert(
    fc.property(withMutants(fc.oneof(requestStream, responseStream)), (text) => {
      const bytes = Buffer.from(text, 'latin1');
      for (const head of [new RequestHead(SMALL), new ResponseHead(SMALL)]) {
        const verdict = head.parse(bytes, 0, bytes.length);
        const { fault } = head;
        for (let end = 0; end < bytes.length; end++) {
          const early = head.parse(bytes, 0, end);
          if (early !== INCOMPLETE) assert.deepEqual([early, head.fault], [verdict, fault], `after ${end} bytes`);
          assert(verdict < 0 || early === (end < verdict ? INCOMPLETE : verdict), `whole after ${end} bytes`);
        }
        assert(verdict === INCOMPLETE || verdict === FAULTY || (verdict > 0 && verdict <= bytes.length));
      }
    }),
    { seed: SEED, numRuns: 300 },
  );
});
