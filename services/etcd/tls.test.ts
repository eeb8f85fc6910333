// etcd's TLS flags against the real process: certificates it makes itself, whom it lets in, what it agrees on, and new files.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, type ConnectionOptions } from 'node:tls';
import { connectToEtcd, type EtcdClient } from '#lib/etcd-api/client.ts';
import { freePort } from '#lib/testing/free-ports.ts';
import { revocationListOf } from './edge/tls/testing.ts';
import { spawnEtcd, temporaryFolder, until, writeCertificates, type EtcdProcess } from './testing.ts';

const folder = temporaryFolder();
const file = (name: string): string => join(folder.path, name);
await writeCertificates(folder.path);
const running = new Set<EtcdProcess>();
after(async () => {
  await Promise.all([...running].map((server) => server.end('SIGKILL')));
  folder.remove();
});

interface Started {
  readonly server: EtcdProcess;
  /** Host and port of the client URL. */
  readonly address: { readonly host: string; readonly port: number };
  /** What it logged since it was ready. */
  readonly lines: () => string;
}

let nextFolder = 0;
const newDataDir = (): string => file(`data-${nextFolder++}`);
const served = ['--cert-file', '--key-file', '--trusted-ca-file'].map((flag, at) => `${flag}=${file(['server.crt', 'server.key', 'ca.crt'][at] as string)}`);

async function start(flags: readonly string[], scheme: 'http' | 'https' = 'https'): Promise<Started> {
  const server = await spawnEtcd([`--data-dir=${newDataDir()}`, ...flags], scheme);
  running.add(server);
  let lines = '';
  server.process.stdout?.on('data', (text) => (lines += String(text)));
  const { hostname: host, port } = new URL(server.urls[0]);
  return { server, address: { host, port: Number(port) }, lines: () => lines };
}

async function end({ server }: Started): Promise<void> {
  running.delete(server);
  await server.end('SIGTERM');
}

async function canPutAndGet(client: EtcdClient): Promise<void> {
  await client.put({ key: 'a', value: '1' });
  assert.equal((await client.range({ key: 'a' })).kvs[0]?.value.toString(), '1');
  client.close();
}

const refusalOf = (flags: readonly string[]): Promise<string> => spawnEtcd([`--data-dir=${newDataDir()}`, ...flags], 'https').then(() => 'it started', (error: unknown) => (error as Error).message.trim());
const identity = (name: string): ConnectionOptions => ({ ca: readFileSync(file('ca.crt')), cert: readFileSync(file(`${name}.crt`)), key: readFileSync(file(`${name}.key`)) });

/** The answer's status; 'refused' when the connection ends without one. */
const statusOf = (url: string, name: string): Promise<number | 'refused'> => new Promise((resolve) => {
  request(url, { ...identity(name), agent: false }, (response) => resolve(response.resume().statusCode ?? 0)).on('error', () => resolve('refused')).end();
});

/** What was agreed on; 'refused' when nothing was. */
const handshake = ({ address }: Started, options: ConnectionOptions = {}): Promise<{ version: string | null; cipher: string; serial: string } | 'refused'> => new Promise((resolve) => {
  const socket = connect({ ...address, ...identity('client'), ...options }, () => {
    resolve({ version: socket.getProtocol(), cipher: socket.getCipher().standardName, serial: socket.getPeerCertificate().serialNumber });
    socket.destroy();
  }).on('error', () => resolve('refused'));
});

test('--auto-tls: a member serves clients with a certificate of its own, and keeps it', async () => {
  const dataDir = newDataDir();
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(dataDir, 'fixtures', 'client', name)) as [string, string];
  const first = await start([`--data-dir=${dataDir}`, '--auto-tls']);
  await canPutAndGet(connectToEtcd({ endpoints: [first.server.urls[0]], insecureSkipTlsVerify: true }));
  const made = readFileSync(cert);
  assert.ok(existsSync(key));
  assert.equal(new X509Certificate(made).subjectAltName, 'IP Address:127.0.0.1');
  await end(first);
  const second = await start([`--data-dir=${dataDir}`, '--auto-tls']);
  await canPutAndGet(connectToEtcd({ endpoints: [second.server.urls[0]], insecureSkipTlsVerify: true }));
  assert.deepEqual(readFileSync(cert), made);
  await end(second);
});

test('--auto-tls counts for nothing without an https URL, or with a certificate', async () => {
  const plain = await start(['--auto-tls'], 'http');
  await canPutAndGet(connectToEtcd({ endpoints: [plain.server.urls[0]] }));
  await end(plain);
  const given = await start(['--auto-tls', ...served]);
  assert.equal((await handshake(given) as { serial: string }).serial, new X509Certificate(readFileSync(file('server.crt'))).serialNumber);
  await end(given);
});

test('--peer-auto-tls: members that vouch for themselves form a cluster', async () => {
  const ports = await Promise.all([freePort(), freePort(), freePort()]);
  const urls = ports.map((port) => `https://127.0.0.1:${port}`);
  const members = await Promise.all(urls.map((url, at) => start([
    `--name=m${at}`, '--peer-auto-tls', `--listen-peer-urls=${url}`, `--initial-advertise-peer-urls=${url}`, `--initial-cluster=${urls.map((other, of) => `m${of}=${other}`).join()}`,
  ], 'http')));
  for (const { server } of members) await canPutAndGet(connectToEtcd({ endpoints: [server.urls[0]] }));
  await Promise.all(members.map(end));
});

test('--trusted-ca-file demands a certificate, --client-crl-file tells which hold no longer, at once', async () => {
  const ca = { certPem: readFileSync(file('ca.crt'), 'utf8'), keyPem: readFileSync(file('ca.key'), 'utf8') };
  const serial = new X509Certificate(readFileSync(file('client.crt'))).serialNumber;
  writeFileSync(file('revoked.crl'), await revocationListOf(ca, []));
  const etcd = await start([...served, `--client-crl-file=${file('revoked.crl')}`]);
  const url = `${etcd.server.urls[0]}/version`;
  assert.deepEqual([await statusOf(url, 'client'), await statusOf(url, 'stranger')], [200, 'refused']);
  await until('the stranger is in the log', () => /"msg":"rejected connection on client endpoint".*"error":"tls: failed to verify certificate: x509: certificate signed by unknown authority"/.test(etcd.lines()));
  writeFileSync(file('revoked.crl'), await revocationListOf(ca, [serial]));
  assert.deepEqual([await statusOf(url, 'client'), await statusOf(url, 'server')], ['refused', 200]);
  await until('who was revoked is in the log', () => new RegExp(`"error":"transport: certificate serial 0?${serial.toLowerCase()} revoked"`).test(etcd.lines()));
  await end(etcd);
});

test('--client-cert-allowed-hostname and --peer-cert-allowed-cn: others are refused, whoever vouches for them', async () => {
  const peerUrl = `https://127.0.0.1:${await freePort()}`;
  const peers = ['cert-file=server.crt', 'key-file=server.key', 'trusted-ca-file=ca.crt'].map((flag) => `--peer-${flag.replace('=', `=${folder.path}/`)}`);
  const etcd = await start([...served, '--client-cert-allowed-hostname=other,localhost', `--listen-peer-urls=${peerUrl}`, ...peers, '--peer-client-cert-auth', '--peer-cert-allowed-cn=m-k8s,m2']);
  for (const url of [etcd.server.urls[0], peerUrl]) assert.deepEqual([await statusOf(`${url}/version`, 'server'), await statusOf(`${url}/version`, 'client')], [200, 'refused']);
  for (const endpoint of ['client', 'peer']) await until(`a refusal of a ${endpoint} is in the log`, () => new RegExp(`"msg":"rejected connection on ${endpoint} endpoint".*"error":"client certificate authentication failed"`).test(etcd.lines()));
  await end(etcd);
});

test('--cipher-suites and --tls-max-version say what is agreed on', async () => {
  const etcd = await start([...served, '--tls-max-version=TLS1.2', '--cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256']);
  const { serial: _, ...agreed } = await handshake(etcd) as { version: string; cipher: string; serial: string };
  assert.deepEqual(agreed, { version: 'TLSv1.2', cipher: 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256' });
  assert.equal(await handshake(etcd, { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' }), 'refused');
  assert.equal(await handshake(etcd, { minVersion: 'TLSv1.3' }), 'refused');
  await end(etcd);
});

test('--tls-min-version=TLS1.3 refuses what is older', async () => {
  const etcd = await start([...served, '--tls-min-version=TLS1.3']);
  assert.equal((await handshake(etcd) as { version: string }).version, 'TLSv1.3');
  assert.equal(await handshake(etcd, { maxVersion: 'TLSv1.2' }), 'refused');
  await end(etcd);
});

test('new connections see the certificate that the files have now, and none while they are broken', async () => {
  const show = (name: string): void => ['crt', 'key'].forEach((part) => copyFileSync(file(`${name}.${part}`), file(`shown.${part}`)));
  const serialOf = (name: string): string => new X509Certificate(readFileSync(file(`${name}.crt`))).serialNumber;
  show('server');
  const etcd = await start([`--cert-file=${file('shown.crt')}`, `--key-file=${file('shown.key')}`]);
  const seen = async (): Promise<string> => {
    const result = await handshake(etcd, { rejectUnauthorized: false });
    return result === 'refused' ? result : result.serial;
  };
  assert.equal(await seen(), serialOf('server'));
  show('client');
  assert.equal(await seen(), serialOf('client'));
  copyFileSync(file('server.crt'), file('shown.crt'));
  assert.equal(await seen(), 'refused');
  await until('why is in the log', () => etcd.lines().includes('tls: private key does not match public key'));
  show('server');
  assert.equal(await seen(), serialOf('server'));
  await end(etcd);
});

test('an address can be had with TLS and without', async () => {
  const port = await freePort();
  const etcd = await start([`--listen-client-urls=http://127.0.0.1:${port},https://127.0.0.1:${port}`, ...served]);
  await canPutAndGet(connectToEtcd({ endpoints: [`http://127.0.0.1:${port}`] }));
  await canPutAndGet(connectToEtcd({ endpoints: [`https://127.0.0.1:${port}`], caFile: file('ca.crt'), certFile: file('client.crt'), keyFile: file('client.key') }));
  assert.equal((await fetch(`http://127.0.0.1:${port}/version`)).status, 200);
  assert.equal(await statusOf(`https://127.0.0.1:${port}/version`, 'client'), 200);
  await end(etcd);
});

test('what cannot be is refused at the start, in the words of etcd', async () => {
  const [certFile = '', keyFile = ''] = served;
  assert.equal(await refusalOf([]), 'etcd: TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:0 with HTTPS scheme');
  assert.equal(await refusalOf([certFile]), `etcd: KeyFile and CertFile must both be present[key: , cert: ${file('server.crt')}]`);
  assert.equal(await refusalOf([certFile, `--key-file=${file('client.key')}`]), 'etcd: tls: private key does not match public key');
  assert.equal(await refusalOf([certFile, keyFile, '--cipher-suites=NONE']), 'etcd: unexpected TLS cipher suite "NONE"');
  assert.equal(await refusalOf([certFile, keyFile, '--tls-min-version=TLS1.3', '--cipher-suites=TLS_AES_128_GCM_SHA256']), 'etcd: cipher suites cannot be configured when only TLS1.3 is enabled');
  assert.equal(await refusalOf([certFile, keyFile, '--listen-peer-urls=https://127.0.0.1:0']), 'etcd: cannot listen on TLS for 127.0.0.1:0: KeyFile and CertFile are not presented');
  assert.equal(await refusalOf(['--auto-tls', '--self-signed-cert-validity=0']), 'etcd: failed to get client self-signed certs: selfSignedCertValidity is invalid,it should be greater than 0');
});
