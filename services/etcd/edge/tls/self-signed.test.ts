import assert from 'node:assert/strict';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pino from 'pino';
import { temporaryFolder } from '../../testing.ts';
import { selfSignedFiles, type SelfSignedOptions } from './self-signed.ts';

const folder = temporaryFolder();
after(() => folder.remove());
const nowMs = Date.parse('2026-01-01T00:00:00Z');
const options: SelfSignedOptions = { folder: join(folder.path, 'fixtures', 'peer'), hosts: ['localhost', '127.0.0.1', '::1'], validityYears: 2, nowMs, log: pino({ level: 'silent' }) };

test('a member makes a certificate for what it listens on, and keeps it', async () => {
  const { certFile, keyFile } = await selfSignedFiles(options);
  assert.deepEqual([certFile, keyFile], [join(options.folder, 'cert.pem'), join(options.folder, 'key.pem')]);
  const certificate = new X509Certificate(readFileSync(certFile));
  const key = createPrivateKey(readFileSync(keyFile));
  assert.ok(certificate.checkPrivateKey(key) && certificate.verify(certificate.publicKey));
  assert.ok(certificate.raw.includes(Buffer.from('0603551d130101ff040530030101ff', 'hex')), 'basic constraints: critical, an authority');
  assert.deepEqual([certificate.subject, certificate.subjectAltName], ['O=etcd', 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1']);
  assert.deepEqual([key.asymmetricKeyDetails?.namedCurve, certificate.keyUsage], ['secp521r1', ['1.3.6.1.5.5.7.3.1']]);
  assert.deepEqual([Date.parse(certificate.validFrom), Date.parse(certificate.validTo)], [nowMs, nowMs + 2 * 365 * 24 * 3600 * 1000]);
  assert.deepEqual([statSync(keyFile).mode & 0o777, statSync(options.folder).mode & 0o777], [0o600, 0o700]);
  assert.match(readFileSync(keyFile, 'latin1'), /^-----BEGIN EC PRIVATE KEY-----/);
  await selfSignedFiles({ ...options, hosts: ['other'] });
  assert.equal(new X509Certificate(readFileSync(certFile)).serialNumber, certificate.serialNumber);
});

test('one that is good for no time is not made', async () => {
  await assert.rejects(selfSignedFiles({ ...options, validityYears: 0 }), { message: 'selfSignedCertValidity is invalid,it should be greater than 0' });
});
