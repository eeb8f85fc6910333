import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import pino from 'pino';
import { temporaryFolder, until, writeCertificates } from '../../testing.ts';
import { PeerHttpClient } from '../peers/http-client.ts';
import { newClientTls } from './client-tls.ts';
import { inGoWords } from './tls-error.ts';
import type { TlsInfo } from './tls-info.ts';
import { tlsInfo } from './testing.ts';

const folder = temporaryFolder();
after(() => folder.remove());
await writeCertificates(folder.path);
const file = (name: string): string => join(folder.path, name);
const info = (given: Partial<TlsInfo>): TlsInfo => tlsInfo({ certFile: file('server.crt'), keyFile: file('server.key'), trustedCaFile: file('ca.crt'), ...given });
const log = pino({ level: 'silent' });

/** Answers with the serial number of who asks. */
async function startServer(): Promise<{ readonly url: string; readonly refusals: string[]; readonly close: () => void }> {
  const refusals: string[] = [];
  const server = createServer({ cert: readFileSync(file('server.crt')), key: readFileSync(file('server.key')), ca: readFileSync(file('ca.crt')), requestCert: true }, (request, response) => {
    response.end((request.socket as TLSSocket).getPeerCertificate().serialNumber);
  });
  server.on('tlsClientError', (error) => refusals.push(inGoWords(error)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}/`, refusals, close: () => server.close().closeAllConnections() };
}

async function ask(url: string, client: PeerHttpClient): Promise<string> {
  const { body } = await client.send(new URL(url), { method: 'GET', timeoutMs: 5_000 });
  return body.toString();
}

test('a member that is not among those allowed learns that its certificate was refused, whatever the cipher', async () => {
  for (const ciphers of [undefined, 'TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256']) {
    const server = await startServer();
    const client = new PeerHttpClient(newClientTls(info({ ciphers, allowed: { commonNames: ['other'], hostnames: [] } }), log));
    await assert.rejects(ask(server.url, client), { message: 'client certificate authentication failed' });
    await until('the server was told', () => server.refusals.includes('remote error: tls: bad certificate'));
    client.close();
    server.close();
  }
});

test('those that are allowed are spoken to, and where nobody listens that is said', async () => {
  const server = await startServer();
  const client = new PeerHttpClient(newClientTls(info({ allowed: { commonNames: [], hostnames: ['localhost'] } }), log));
  assert.equal(await ask(server.url, client), new X509Certificate(readFileSync(file('server.crt'))).serialNumber);
  client.close();
  server.close();
  const { port } = new URL(server.url);
  await assert.rejects(ask(server.url, client), { message: `connect ECONNREFUSED 127.0.0.1:${port}` });
});

test('each connection shows the certificate that the files have now', async () => {
  const server = await startServer();
  const show = (name: string): void => ['crt', 'key'].forEach((part) => copyFileSync(file(`${name}.${part}`), file(`shown.${part}`)));
  show('server');
  const tls = newClientTls(info({ clientCertFile: file('shown.crt'), clientKeyFile: file('shown.key') }), log);
  for (const name of ['server', 'client']) {
    show(name);
    const client = new PeerHttpClient(tls);
    assert.equal(await ask(server.url, client), new X509Certificate(readFileSync(file(`${name}.crt`))).serialNumber);
    client.close();
  }
  copyFileSync(file('server.crt'), file('shown.crt'));
  await assert.rejects(ask(server.url, new PeerHttpClient(tls)), { message: 'tls: private key does not match public key' });
  server.close();
});

test('a server that another authority vouches for is refused, unless members vouch for themselves', async () => {
  const server = await startServer();
  await assert.rejects(ask(server.url, new PeerHttpClient(newClientTls(info({ trustedCaFile: file('stranger.crt') }), log))), { code: 'SELF_SIGNED_CERT_IN_CHAIN' });
  const client = new PeerHttpClient(newClientTls(info({ trustedCaFile: '', isSelfSigned: true }), log));
  assert.notEqual(await ask(server.url, client), '');
  client.close();
  server.close();
});
