import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { createCertificateAuthority, issueCertificate } from '#lib/pki/certificate.ts';
import { checkAllowedNames, objectionToNames } from './allowed-names.ts';
import { objectionToHost } from './client-tls.ts';

const nowMs = Date.now();
const ca = await createCertificateAuthority({ commonName: 'etcd-ca', nowMs });
const issued = async (commonName: string, dnsNames: readonly string[], ipAddresses: readonly string[]): Promise<X509Certificate> => new X509Certificate((await issueCertificate({ ca, commonName, dnsNames, ipAddresses, usages: ['server'], nowMs })).certPem);
const member = await issued('m1', ['m1.example', '*.peers.example'], ['10.0.0.1', 'fe80::1']);
const nameless = await issued('m2.example', [], []);

test('a certificate is allowed by its common name', () => {
  const objection = (...commonNames: readonly string[]): string | undefined => objectionToNames(member, { commonNames, hostnames: [] });
  assert.equal(objection(), undefined);
  assert.equal(objection('other', 'm1'), undefined);
  assert.equal(objection('m1.example'), 'client certificate authentication failed');
});

test('a certificate is allowed by a name or an address that it is for, and not by its common name', () => {
  const objection = (...hostnames: readonly string[]): string | undefined => objectionToNames(member, { commonNames: [], hostnames });
  for (const host of ['M1.example', 'a.peers.example', '10.0.0.1', '[fe80::1]', 'fe80:0::1']) assert.equal(objection('no.example', host), undefined, host);
  for (const host of ['m1', 'peers.example', 'a.b.peers.example', '10.0.0.2']) assert.equal(objection(host), 'client certificate authentication failed', host);
});

test('names and hosts exclude each other', () => {
  checkAllowedNames({ commonNames: ['a'], hostnames: [] });
  assert.throws(() => checkAllowedNames({ commonNames: ['a', 'b'], hostnames: ['c'] }), { message: 'AllowedCNs and AllowedHostnames are mutually exclusive (cns=["a" "b"], hostnames=["c"])' });
});

test('a server must be what its certificate is for, in the words of Go', () => {
  assert.equal(objectionToHost(member, 'm1.example'), undefined);
  assert.equal(objectionToHost(member, '10.0.0.2'), 'tls: failed to verify certificate: x509: certificate is valid for 10.0.0.1, FE80:0:0:0:0:0:0:1, not 10.0.0.2');
  assert.equal(objectionToHost(member, 'm3.example'), 'tls: failed to verify certificate: x509: certificate is valid for m1.example, *.peers.example, not m3.example');
  assert.equal(objectionToHost(nameless, '10.0.0.1'), 'tls: failed to verify certificate: x509: cannot validate certificate for 10.0.0.1 because it doesn\'t contain any IP SANs');
  assert.equal(objectionToHost(nameless, 'm2.example'), 'tls: failed to verify certificate: x509: certificate relies on legacy Common Name field, use SANs instead');
  assert.equal(objectionToHost(nameless, 'm1.example'), 'tls: failed to verify certificate: x509: certificate is not valid for any names, but wanted to match m1.example');
});
