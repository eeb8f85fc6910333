import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createCertificateAuthority, issueCertificate } from '#lib/pki/certificate.ts';
import { temporaryFolder } from '../../testing.ts';
import { RevocationList } from './revocation-list.ts';
import { revocationListOf } from './testing.ts';

const folder = temporaryFolder();
after(() => folder.remove());
const path = join(folder.path, 'revoked.crl');
const nowMs = Date.now();
const ca = await createCertificateAuthority({ commonName: 'etcd-ca', nowMs });
const [good, bad] = await Promise.all(['good', 'bad'].map(async (commonName) => new X509Certificate((await issueCertificate({ ca, commonName, usages: ['client'], nowMs })).certPem))) as [X509Certificate, X509Certificate];
const serial = bad.serialNumber.toLowerCase();
const revoked = `transport: certificate serial ${serial.length % 2 === 0 ? serial : `0${serial}`} revoked`;

test('certificates in the list are refused, wherever in a chain they are', async () => {
  writeFileSync(path, await revocationListOf(ca, [bad.serialNumber]));
  const list = new RevocationList(path);
  assert.equal(await list.objectionTo([good]), undefined);
  assert.equal(await list.objectionTo([good, bad]), revoked);
  assert.equal(await list.objectionTo([]), undefined);
});

test('the list is read anew each time', async () => {
  writeFileSync(path, await revocationListOf(ca, []));
  const list = new RevocationList(path);
  assert.equal(await list.objectionTo([bad]), undefined);
  writeFileSync(path, await revocationListOf(ca, [bad.serialNumber]));
  assert.equal(await list.objectionTo([bad]), revoked);
});

test('without a list that can be read nobody with a certificate is let in', async () => {
  assert.equal(await new RevocationList(join(folder.path, 'missing')).objectionTo([good]), `open ${join(folder.path, 'missing')}: no such file or directory`);
  for (const content of ['-----BEGIN X509 CRL-----\n', Buffer.from([0x30, 3, 2, 1, 1]), (await revocationListOf(ca, [bad.serialNumber])).subarray(0, -1), '']) {
    writeFileSync(path, content);
    assert.equal(await new RevocationList(path).objectionTo([good]), 'x509: malformed crl');
  }
});
