/** Certificates from files, and the one-line form of a subject against what openssl itself prints. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { type CredentialFiles, loadCredentials, subjectFault, subjectOneLine } from '../../src/cluster/credentials.ts';
import { requirePeer, temporaryFolder } from '../e2e/harness.ts';
import { createAuthority, type Subject, writeCredentials } from './certificates.ts';

const YAHOO = '/C=US/ST=IL/O=Yahoo/OU=Edge/CN=localhost';
const authority = createAuthority();

const SUBJECTS: Readonly<Record<string, Subject>> = {
  'the example of Traffic Server': [
    [['C', 'US']],
    [['ST', 'IL']],
    [['O', 'Yahoo']],
    [['OU', 'Edge']],
    [['CN', 'localhost']],
  ],
  'repeated attributes': [[['OU', 'a']], [['OU', 'b']], [['CN', 'x']], [['OU', 'c']], [['CN', 'y']]],
  'an order of its own': [[['CN', 'x']], [['C', 'US']]],
  'what RFC 2253 escapes': [[['O', ' #a, b+c"d;<e>=f# ']], [['O', '#x']], [['O', '  ']]],
  'two attributes in one name': [
    [['C', 'US']],
    [
      ['O', 'a'],
      ['OU', 'b + OU=c'],
    ],
    [['CN', 'x']],
  ],
  'a value that ends like a separator': [
    [
      ['O', 'x +'],
      ['OU', 'y'],
    ],
    [['CN', '+ ']],
  ],
  'control characters and line feeds': [[['O', 'a\nb\tc\0d\x7f']], [['CN', '\n']]],
  'other than ASCII': [[['O', 'Bär 日本 \u{1f600}']], [['CN', 'ä']]],
  'an empty value': [[['O', '']], [['CN', 'x']]],
  'no attribute': [],
  'attributes that OpenSSL knows and does not know': [
    [['emailAddress', 'a@b']],
    [['UID', 'u']],
    [['DC', 'example']],
    [['serialNumber', '7']],
    [['street', 's']],
    [['SN', 'n']],
    [['1.2.3.4.5', 'foo']],
  ],
  'slashes and backslashes': [[['O', 'a/b']], [['O', 'c\\']], [['O', '\\/CN=x']], [['O', '\\x41']]],
};

const HAS_OPENSSL = spawnSync('openssl', ['version']).status === 0;

for (const [what, subject] of Object.entries(SUBJECTS)) {
  test(`the one-line form is OpenSSL's: ${what}`, (t) => {
    if (requirePeer(t, HAS_OPENSSL, 'openssl is not installed')) assertAsOpenssl(subject);
  });
}

test("the one-line form is OpenSSL's whatever the values", (t) => {
  if (!requirePeer(t, HAS_OPENSSL, 'openssl is not installed')) return;
  const text = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.string({ unit: fc.constantFrom(...' +\\/=,#\n"ä0A'), maxLength: 12 }),
  );
  const attribute = fc.tuple(fc.constantFrom('C', 'O', 'OU', 'CN', 'UID'), text);
  const subject = fc.array(fc.array(attribute, { minLength: 1, maxLength: 1 }), { maxLength: 5 });
  fc.assert(
    fc.property(subject, (names) => assertAsOpenssl(names)),
    { numRuns: 50 },
  );
});

test('the one-line form of some subjects, without openssl', () => {
  assert.equal(oneLineOf('the example of Traffic Server'), YAHOO);
  assert.equal(oneLineOf('repeated attributes'), '/OU=a/OU=b/CN=x/OU=c/CN=y');
  assert.equal(oneLineOf('two attributes in one name'), '/C=US/O=a+OU=b \\+ OU=c/CN=x');
  assert.equal(
    oneLineOf('other than ASCII'),
    '/O=B\\xC3\\xA4r \\xE6\\x97\\xA5\\xE6\\x9C\\xAC \\xF0\\x9F\\x98\\x80/CN=\\xC3\\xA4',
  );
});

test('text in UTF-16 is taken as UTF-8', () => {
  assert.equal(subjectOneLine(certificateOf([[['CN', Buffer.from([0, 0x61, 0, 0xe4])]]])), '/CN=a\\xC3\\xA4');
});

test('a subject is accepted where it is the one expected, to the letter', () => {
  const certificate = certificateOf(SUBJECTS['the example of Traffic Server'] as Subject);
  assert.equal(subjectFault(certificate, YAHOO), null);
  for (const other of [YAHOO.toLowerCase(), `${YAHOO}/`, YAHOO.slice(0, -1), YAHOO.slice(5), '/CN=localhost', ' ']) {
    assert.equal(subjectFault(certificate, other)?.reason, 'wrong-subject');
  }
});

test('with nothing expected every subject is accepted', () => {
  for (const subject of Object.values(SUBJECTS)) assert.equal(subjectFault(certificateOf(subject), ''), null);
});

test('a value made to look like further attributes is refused, even where the text is what is expected', () => {
  for (const value of ['Yahoo/OU=Edge', 'Yahoo+OU=Edge', 'Yahoo\\', 'Yahoo\\/OU=Edge', '\\xC3\\xA4']) {
    const certificate = certificateOf([[['O', value]], [['CN', 'localhost']]]);
    const fault = subjectFault(certificate, subjectOneLine(certificate));
    assert.equal(fault?.reason, 'wrong-subject');
    assert.match(fault.detail, /more than one way/);
  }
});

test('a slash that looks like nothing else is accepted', () => {
  const certificate = certificateOf([[['O', 'Yahoo/Edge']], [['CN', 'localhost']]]);
  assert.equal(subjectFault(certificate, '/O=Yahoo\\/Edge/CN=localhost'), null);
});

test('what the files hold is what TLS and the log get', async (t) => {
  const credentials = await loadCredentials(filesOf(t), YAHOO);
  assert.equal(credentials.subject, YAHOO);
  assert.equal(credentials.certVerifyStr, YAHOO);
  assert.equal(credentials.privateKey.type, 'private');
  assert.equal(credentials.contextOptions.minVersion, 'TLSv1.3');
});

test('several authorities in one file, with comments between, are all read', async (t) => {
  const files = filesOf(t);
  writeFileSync(files.rootCertFile, `old:\n${createAuthority().certificate}\nnew:\n${authority.certificate}`);
  await loadCredentials(files, '');
});

for (const file of ['rootCertFile', 'serverCertFile', 'serverKeyFile'] as const) {
  test(`a fault in ${file} is reported with its name`, async (t) => {
    const files = filesOf(t);
    const missing = join(temporaryFolder(t), 'missing.pem');
    await assert.rejects(loadCredentials({ ...files, [file]: missing }, ''), fault(missing, 'cannot be read .ENOENT.'));
    for (const content of ['', 'not PEM', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', '\0\xff']) {
      writeFileSync(files[file], content);
      await assert.rejects(loadCredentials(files, ''), fault(files[file], '(holds no|certificate 1|is not a key)'));
    }
  });
}

test('a file without permission is reported with its name', async (t) => {
  if (process.getuid?.() === 0) return t.skip('root may read everything');
  const files = filesOf(t);
  chmodSync(files.serverKeyFile, 0);
  await assert.rejects(loadCredentials(files, ''), fault(files.serverKeyFile, 'cannot be read .EACCES.'));
});

test('a key that belongs to another certificate is reported with both names', async (t) => {
  const files = filesOf(t);
  writeFileSync(files.serverKeyFile, authority.issue('/CN=x').key);
  await assert.rejects(
    loadCredentials(files, ''),
    fault(files.serverKeyFile, `the key does not belong to the certificate in ${files.serverCertFile}`),
  );
});

test('an encrypted key is reported as such, and no part of it is in the message', async (t) => {
  const files = filesOf(t);
  const pem = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VjcmV0\n-----END ENCRYPTED PRIVATE KEY-----\n';
  writeFileSync(files.serverKeyFile, pem);
  await assert.rejects(loadCredentials(files, ''), (error: Error) => {
    assert.match(error.message, /is encrypted/);
    assert.doesNotMatch(error.message, /c2VjcmV0/);
    return true;
  });
});

function filesOf(t: TestContext): CredentialFiles {
  return writeCredentials(temporaryFolder(t), 'own', [authority], authority.issue(YAHOO));
}

function fault(file: string, what: string): RegExp {
  return new RegExp(`^Error: ${file.replaceAll('.', '\\.')}: ${what}`);
}

function certificateOf(subject: Subject): X509Certificate {
  return new X509Certificate(authority.issue(subject).certificate);
}

function oneLineOf(name: string): string {
  return subjectOneLine(certificateOf(SUBJECTS[name] as Subject));
}

function assertAsOpenssl(subject: Subject): void {
  const { certificate } = authority.issue(subject);
  const args = ['x509', '-noout', '-subject', '-nameopt', 'compat'];
  const { status, stdout, stderr } = spawnSync('openssl', args, { input: certificate, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const printed = stdout.replace(/^subject=/, '').replace(/\n$/, '');
  assert.equal(subjectOneLine(new X509Certificate(certificate)), printed.trim() === '' ? '' : printed);
}
