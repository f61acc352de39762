/** Status lines (RFC 9112 section 4): one form, and everything else is no response. */

import { type CaseGroup, FIN, POISONED, passed, refused } from './response-case.ts';

const END = '\r\nContent-Length: 2\r\n\r\nok';

function refusedLine(name: string, line: string) {
  return refused(name, `${line}${END}`);
}
function passedLine(name: string, line: string, handedOn = line) {
  return passed(name, [`${line}${END}`], { head: `${handedOn}\r\nContent-Length: 2`, body: 'ok' });
}

export const statusLines: CaseGroup = {
  name: 'status lines',
  cases: [
    passedLine('a reason of several words', 'HTTP/1.1 200 All is well'),
    passedLine('no reason, and the space before it', 'HTTP/1.1 200 '),
    passedLine('no reason, and no space', 'HTTP/1.1 200'),
    passedLine('a reason with bytes above ASCII', 'HTTP/1.1 200 N\xf6t\xff'),
    passedLine('a tab in the reason', 'HTTP/1.1 200 a\tb'),
    passedLine('status 999', 'HTTP/1.1 999 Odd'),
    passedLine('status 600', 'HTTP/1.1 600 Odd'),
    passedLine('status 299', 'HTTP/1.1 299 Odd'),
    refusedLine('status 000', 'HTTP/1.1 000 Zero'),
    refusedLine('status 099', 'HTTP/1.1 099 Low'),
    refusedLine('a status of one digit', 'HTTP/1.1 2 OK'),
    refusedLine('a status of two digits', 'HTTP/1.1 20 OK'),
    refusedLine('a status of four digits', 'HTTP/1.1 2000 OK'),
    refusedLine('a status of letters', 'HTTP/1.1 abc OK'),
    refusedLine('a status in hexadecimal', 'HTTP/1.1 0xC OK'),
    refusedLine('a status with a sign', 'HTTP/1.1 +20 OK'),
    refusedLine('a negative status', 'HTTP/1.1 -20 OK'),
    refusedLine('a status with a point', 'HTTP/1.1 2.0 OK'),
    refusedLine('no status', 'HTTP/1.1 OK'),
    refusedLine('the version alone', 'HTTP/1.1'),
    refusedLine('the version and a space', 'HTTP/1.1 '),
    refusedLine('two spaces before the status', 'HTTP/1.1  200 OK'),
    refusedLine('a tab before the status', 'HTTP/1.1\t200 OK'),
    refusedLine('a tab behind the status', 'HTTP/1.1 200\tOK'),
    refusedLine('HTTP/0.9', 'HTTP/0.9 200 OK'),
    refusedLine('HTTP/1.2', 'HTTP/1.2 200 OK'),
    refusedLine('HTTP/1.10', 'HTTP/1.10 200 OK'),
    refusedLine('HTTP/01.1', 'HTTP/01.1 200 OK'),
    refusedLine('HTTP/2.0', 'HTTP/2.0 200 OK'),
    refusedLine('HTTP/2', 'HTTP/2 200 OK'),
    refusedLine('HTTP/1', 'HTTP/1 200 OK'),
    refusedLine('HTTP/1,1', 'HTTP/1,1 200 OK'),
    refusedLine('the version in small letters', 'http/1.1 200 OK'),
    refusedLine('another protocol', 'ICY 200 OK'),
    refusedLine('a space in the version', 'HTTP /1.1 200 OK'),
    refusedLine('an empty line before it', '\r\nHTTP/1.1 200 OK'),
    refusedLine('a bare LF before it', '\nHTTP/1.1 200 OK'),
    refusedLine('a space before it', ' HTTP/1.1 200 OK'),
    refusedLine('a byte before it', 'xHTTP/1.1 200 OK'),
    refusedLine('a NUL before it', '\0HTTP/1.1 200 OK'),
    refusedLine('a line of text before it', 'Warning: something is wrong\r\nHTTP/1.1 200 OK'),
    refusedLine('a NUL in the reason', 'HTTP/1.1 200 O\0K'),
    refusedLine('a bare CR in the reason', 'HTTP/1.1 200 O\rK'),
    refusedLine('a bare LF in the reason, and a field behind it', 'HTTP/1.1 200 OK\nX: y'),
    refusedLine('a DEL in the reason', 'HTTP/1.1 200 O\x7fK'),
    refused('bare LFs throughout', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'),
    refused('a bare CR for its end', 'HTTP/1.1 200 OK\rContent-Length: 2\r\n\r\nok'),
    refused('HTTP/0.9: content without a head', 'hello, world\r\n', FIN),
    refused('HTTP/0.9: a page', '<html>hello</html>', FIN),
    refused('a request', 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
    refused('a TLS alert', '\x15\x03\x03\x00\x02\x02\x28', FIN),
    refused('the banner of another protocol', 'SSH-2.0-OpenSSH_9.2p1\r\n', FIN),
    refused('garbage', '\x00\x01\x02\xff\xfe', FIN),
    refused('garbage, and a response behind it', `garbage\r\n\r\n${POISONED}`),
    refused('a part of the version, and the end', 'HTTP/1', FIN),
    refused('a part of the line, and the end', 'HTTP/1.1 200 OK', FIN),
  ],
};
