import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { CertificateSigningRequest } from '#lib/kinds/types/certificates-v1.ts';
import { createCertificateAuthority } from '#lib/pki/certificate.ts';
import { readSigningRequest, signRequest } from '#lib/pki/signing-request.ts';
import { isExpired } from './cleaner.ts';
import { signerProblem, validityOf } from './rules.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const HOUR = 3_600_000;

/** A request that openssl makes. */
function request(subject: string, names?: string, algorithm = ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']): string {
  const folder = mkdtempSync(join(tmpdir(), 'csr-'));
  try {
    execFileSync('openssl', ['req', '-new', '-newkey', ...algorithm, '-nodes', '-keyout', join(folder, 'key'), '-out', join(folder, 'csr'), '-subj', subject, ...(names ? ['-addext', `subjectAltName=${names}`] : [])], { stdio: 'ignore' });
    return readFileSync(join(folder, 'csr'), 'utf8');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('a request is read and answered with its own subject, names and key', async () => {
  const pem = request('/O=system:nodes/CN=system:node:w1', 'DNS:w1,IP:10.0.0.1', ['rsa:2048']);
  assert.deepEqual(await readSigningRequest(pem), { commonName: 'system:node:w1', organizations: ['system:nodes'], dnsNames: ['w1'], ipAddresses: ['10.0.0.1'], emailAddresses: [], uris: [] });
  const ca = await createCertificateAuthority({ commonName: 'kubernetes', nowMs: NOW });
  const certificate = new X509Certificate(await signRequest(pem, { ca, usages: ['digital signature', 'server auth'], notBeforeMs: NOW, notAfterMs: NOW + HOUR }));
  assert.equal(certificate.verify(new X509Certificate(ca.certPem).publicKey), true);
  assert.equal(certificate.subject, 'O=system:nodes\nCN=system:node:w1');
  assert.equal(certificate.subjectAltName, 'DNS:w1, IP Address:10.0.0.1');
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.equal(Date.parse(certificate.validTo), NOW + HOUR);
});

test('no certificate outlives its authority', async () => {
  const ca = await createCertificateAuthority({ commonName: 'kubernetes', nowMs: NOW, validityMs: HOUR });
  const certificate = new X509Certificate(await signRequest(request('/CN=jane'), { ca, usages: ['client auth'], notBeforeMs: NOW, notAfterMs: NOW + 5 * HOUR }));
  assert.equal(Date.parse(certificate.validTo), NOW + HOUR);
});

test('each signer knows what it signs', () => {
  const kubelet = { commonName: 'system:node:w1', organizations: ['system:nodes'], dnsNames: [], ipAddresses: [], emailAddresses: [], uris: [] };
  const client = ['client auth', 'digital signature'];
  const problem = (signer: Parameters<typeof signerProblem>[0], changes: Partial<typeof kubelet>, usages: string[]) => signerProblem(signer, { ...kubelet, ...changes }, usages);
  assert.equal(problem('kubernetes.io/kube-apiserver-client-kubelet', {}, client), undefined);
  assert.equal(problem('kubernetes.io/kube-apiserver-client-kubelet', { organizations: ['dev'] }, client), 'subject organization is not system:nodes');
  assert.equal(problem('kubernetes.io/kube-apiserver-client-kubelet', { commonName: 'jane' }, client), 'subject common name does not begin with system:node:');
  assert.equal(problem('kubernetes.io/kube-apiserver-client-kubelet', {}, ['server auth']), 'usages did not match [client auth digital signature key encipherment]');
  assert.equal(problem('kubernetes.io/kubelet-serving', {}, ['server auth', 'digital signature']), 'DNS or IP subjectAltName is required');
  assert.equal(problem('kubernetes.io/kube-apiserver-client', { commonName: 'jane', organizations: [] }, client), undefined);
  assert.equal(problem('kubernetes.io/kube-apiserver-client', {}, ['server auth']), 'invalid usage for client certificate: server auth');
  assert.equal(problem('kubernetes.io/kube-apiserver-client', {}, ['digital signature']), 'missing required usage for client certificate: client auth');
});

test('how long a certificate holds', () => {
  const minutes = (expirationSeconds: number | undefined) => {
    const { notBeforeMs, notAfterMs } = validityOf(expirationSeconds, 8760 * HOUR, NOW);
    return [(NOW - notBeforeMs) / 60_000, (notAfterMs - NOW) / 60_000];
  };
  assert.deepEqual(minutes(undefined), [5, 8760 * 60 - 5]);
  assert.deepEqual(minutes(3600), [5, 60]);
  assert.deepEqual(minutes(60), [5, 10]);
  assert.deepEqual(minutes(1e9), [5, 8760 * 60 - 5]);
});

test('requests are swept up when they have served', () => {
  const csr = (type: string | undefined, lastUpdateTime: string, certificate?: string): CertificateSigningRequest => ({
    metadata: { name: 'r', creationTimestamp: '2026-01-01T00:00:00Z' }, spec: { request: '', signerName: '' },
    status: { ...(type ? { conditions: [{ type, status: 'True', lastUpdateTime }] } : {}), ...(certificate ? { certificate } : {}) },
  });
  assert.equal(isExpired(csr('Approved', '2026-01-01T10:00:00Z', 'eA=='), NOW), true);
  assert.equal(isExpired(csr('Approved', '2026-01-01T10:00:00Z'), NOW), false, 'it waits for its signer');
  assert.equal(isExpired(csr('Approved', '2026-01-01T11:59:00Z', 'eA=='), NOW), false, 'what is no certificate has no end');
  assert.equal(isExpired(csr('Denied', '2026-01-01T10:00:00Z'), NOW), true);
  assert.equal(isExpired(csr(undefined, ''), NOW), false);
  assert.equal(isExpired(csr(undefined, ''), NOW + 13 * HOUR), true);
});
