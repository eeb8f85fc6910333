// Certificates and kubeconfigs, checked by node's own X.509 parser and by a real TLS handshake.
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { createCertificateAuthority, createSigningKeyPair, issueCertificate, selfSignedServerCertificate } from './certificate.ts';
import { firstServiceAddress, kubeadmPki } from './kubeadm-pki.ts';
import { loadInClusterConfig, loadKubeconfig } from './kubeconfig.ts';

const nowMs = Date.now();

test('an issued certificate is signed by its authority and says whom it is for', async () => {
  const ca = await createCertificateAuthority({ commonName: 'kubernetes', nowMs });
  const { certPem, keyPem } = await issueCertificate({
    ca, commonName: 'system:node:w1-k8s', organizations: ['system:nodes', 'b', 'a'], dnsNames: ['w1-k8s'], ipAddresses: ['192.168.1.101', '::1'],
    usages: ['client', 'server'], nowMs,
  });
  const authority = new X509Certificate(ca.certPem);
  const certificate = new X509Certificate(certPem);
  assert.equal(authority.ca, true);
  assert.equal(certificate.ca, false);
  assert.ok(certificate.checkIssued(authority));
  assert.ok(certificate.verify(authority.publicKey));
  assert.ok(authority.verify(authority.publicKey));
  assert.ok(certificate.subject.split('\n').includes('CN=system:node:w1-k8s'));
  assert.equal(certificate.subjectAltName, 'DNS:w1-k8s, IP Address:192.168.1.101, IP Address:0:0:0:0:0:0:0:1');
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2', '1.3.6.1.5.5.7.3.1']);
  assert.equal(Date.parse(certificate.validFrom), Math.floor((nowMs - 300_000) / 1000) * 1000);
  assert.equal(Date.parse(certificate.validTo), Math.floor((nowMs + 365 * 86_400_000) / 1000) * 1000);
  assert.match(keyPem, /^-----BEGIN EC PRIVATE KEY-----/);
});

test('a validity that ends after 2049 is written as GeneralizedTime', async () => {
  const { certPem } = await createCertificateAuthority({ commonName: 'x', nowMs, validityMs: 40 * 365 * 86_400_000 });
  assert.ok(Date.parse(new X509Certificate(certPem).validTo) > Date.UTC(2060, 0, 1));
});

test('client and server trust each other over mutual TLS', async () => {
  const ca = await createCertificateAuthority({ commonName: 'kubernetes', nowMs });
  const server = await issueCertificate({ ca, commonName: 'kube-apiserver', dnsNames: ['kubernetes'], ipAddresses: ['127.0.0.1'], usages: ['server'], nowMs });
  const client = await issueCertificate({ ca, commonName: 'jane', organizations: ['dev', 'ops'], usages: ['client'], nowMs });
  const listener = createServer({ cert: server.certPem, key: server.keyPem, ca: ca.certPem, requestCert: true, rejectUnauthorized: true });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<TLSSocket>((resolve) => listener.once('secureConnection', resolve));
  const socket = connect({ port: (listener.address() as AddressInfo).port, host: '127.0.0.1', ca: ca.certPem, cert: client.certPem, key: client.keyPem });
  const peer = (await accepted).getPeerCertificate();
  assert.equal(peer.subject.CN, 'jane');
  assert.deepEqual(peer.subject.O, ['dev', 'ops']);
  socket.destroy();
  listener.close();
});

test('a kubelet vouches for its own server certificate', async () => {
  const { certPem } = await selfSignedServerCertificate({ commonName: 'w1-k8s', dnsNames: ['w1-k8s'], ipAddresses: ['192.168.1.101'], nowMs });
  assert.match(new X509Certificate(certPem).issuer, /^CN=w1-k8s-ca@\d+$/);
});

test('the signing key of service accounts is of the curve P-256, in the two forms that kubeadm writes', async () => {
  const { privateKeyPem, publicKeyPem } = await createSigningKeyPair();
  assert.match(privateKeyPem, /^-----BEGIN EC PRIVATE KEY-----/);
  assert.match(publicKeyPem, /^-----BEGIN PUBLIC KEY-----/);
  const key = createPrivateKey(privateKeyPem);
  assert.deepEqual([key.asymmetricKeyType, key.asymmetricKeyDetails?.namedCurve], ['ec', 'prime256v1']);
  assert.equal(createPublicKey(key).export({ type: 'spki', format: 'pem' }), publicKeyPem);
});

test('kubeadm leaves its files on masters and workers', async () => {
  const files = await kubeadmPki({
    masters: [{ name: 'm-k8s', address: '192.168.1.10' }], workers: [{ name: 'w1-k8s', address: '192.168.1.101' }], serviceCidr: '10.96.0.0/12', nowMs,
  });
  assert.deepEqual([...files.get('w1-k8s')?.keys() ?? []], [
    '/var/lib/kubelet/pki/kubelet.crt', '/var/lib/kubelet/pki/kubelet.key', '/etc/kubernetes/pki/ca.crt', '/etc/kubernetes/kubelet.conf',
  ]);
  const master = files.get('m-k8s') ?? new Map<string, string>();
  const pairs = ['ca', 'apiserver', 'apiserver-kubelet-client', 'front-proxy-ca', 'front-proxy-client', 'etcd/ca', 'etcd/server', 'etcd/peer', 'etcd/healthcheck-client', 'apiserver-etcd-client'];
  for (const name of pairs) {
    assert.ok(new X509Certificate(master.get(`/etc/kubernetes/pki/${name}.crt`) ?? ''), name);
    assert.ok(master.has(`/etc/kubernetes/pki/${name}.key`), name);
  }
  for (const name of ['sa.key', 'sa.pub']) assert.ok(master.has(`/etc/kubernetes/pki/${name}`), name);
  for (const name of ['admin', 'super-admin', 'controller-manager', 'scheduler', 'kubelet']) assert.ok(master.has(`/etc/kubernetes/${name}.conf`), name);
  const apiserver = new X509Certificate(master.get('/etc/kubernetes/pki/apiserver.crt') ?? '');
  assert.ok(apiserver.checkIP('10.96.0.1') && apiserver.checkIP('192.168.1.10') && apiserver.checkHost('kubernetes.default.svc.cluster.local'));
});

test('masters share authorities and signing key; each has certificates of its own, and its kubelet asks its own API server', async () => {
  const masters = [{ name: 'm-k8s', address: '192.168.1.10' }, { name: 'm2-k8s', address: '192.168.1.11' }];
  const files = await kubeadmPki({ masters, workers: [{ name: 'w', address: '192.168.1.101' }], serviceCidr: '10.96.0.0/12', nowMs, controlPlaneEndpoint: 'https://127.0.0.1:7445' });
  const [first, second] = masters.map(({ name }) => files.get(name) ?? new Map<string, string>());
  for (const name of ['ca.key', 'sa.key', 'front-proxy-ca.key', 'etcd/ca.key']) assert.equal(first?.get(`/etc/kubernetes/pki/${name}`), second?.get(`/etc/kubernetes/pki/${name}`), name);
  const certificate = (name: string) => new X509Certificate(second?.get(`/etc/kubernetes/pki/${name}.crt`) ?? '');
  assert.ok(certificate('apiserver').checkIP('192.168.1.11') && certificate('apiserver').checkIP('127.0.0.1') && !certificate('apiserver').checkIP('192.168.1.10'));
  for (const name of ['etcd/server', 'etcd/peer']) assert.ok(certificate(name).checkIP('192.168.1.11') && certificate(name).checkHost('m2-k8s') && !certificate(name).checkIP('192.168.1.10'), name);
  const serverOf = (name: string) => /server: (.*)/.exec(second?.get(`/etc/kubernetes/${name}.conf`) ?? '')?.[1];
  assert.deepEqual(['kubelet', 'scheduler', 'admin'].map(serverOf), ['https://192.168.1.11:6443', 'https://192.168.1.11:6443', 'https://127.0.0.1:7445']);
  assert.match(files.get('w')?.get('/etc/kubernetes/kubelet.conf') ?? '', /server: https:\/\/127\.0\.0\.1:7445/);
  assert.deepEqual([first, second].map((each) => each?.has('/etc/kubernetes/super-admin.conf')), [true, false]);
});

test('a kubeconfig written is a kubeconfig read, inline or by files', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pki-'));
  try {
    const files = await kubeadmPki({ masters: [{ name: 'm', address: '10.0.0.1' }], workers: [], serviceCidr: '10.96.0.0/12', nowMs });
    await writeFile(join(folder, 'admin.conf'), files.get('m')?.get('/etc/kubernetes/admin.conf') ?? '');
    const access = await loadKubeconfig(join(folder, 'admin.conf'));
    assert.equal(access.server, 'https://10.0.0.1:6443');
    assert.equal(access.caPem, files.get('m')?.get('/etc/kubernetes/pki/ca.crt'));
    assert.match(new X509Certificate(access.certPem ?? '').subject, /O=kubeadm:cluster-admins/);
    await writeFile(join(folder, 'ca.crt'), 'CA');
    await writeFile(join(folder, 'files.conf'), [
      'current-context: here', 'clusters: [{name: c, cluster: {server: "https://h:1", certificate-authority: ca.crt, tls-server-name: kubernetes}}]',
      'users: [{name: u, user: {tokenFile: token}}]', 'contexts: [{name: here, context: {cluster: c, user: u, namespace: n}}]',
    ].join('\n'));
    assert.deepEqual(await loadKubeconfig(join(folder, 'files.conf')), {
      server: 'https://h:1', caPem: 'CA', tokenFile: join(folder, 'token'), tlsServerName: 'kubernetes', namespace: 'n',
    });
    await writeFile(join(folder, 'token'), 'abc\n');
    await writeFile(join(folder, 'namespace'), 'kube-system');
    assert.deepEqual(await loadInClusterConfig({ KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' }, folder), {
      server: 'https://10.96.0.1:443', caPem: 'CA', token: 'abc', tokenFile: join(folder, 'token'), namespace: 'kube-system',
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a kubeconfig without its context is refused by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pki-'));
  await writeFile(join(folder, 'x.conf'), 'current-context: gone\n');
  await assert.rejects(loadKubeconfig(join(folder, 'x.conf')), /context "gone" does not exist/);
  await rm(folder, { recursive: true });
});

test('a range has a first service address', () => {
  assert.equal(firstServiceAddress('10.96.0.0/12'), '10.96.0.1');
  assert.equal(firstServiceAddress('10.100.3.4/16'), '10.100.0.1');
});
