import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pino from 'pino';
import { temporaryFolder, writeCertificates } from '../../testing.ts';
import { listen } from '../listen.ts';
import { newServerTls } from '../tls/server-tls.ts';
import { tlsInfo } from '../tls/testing.ts';
import { objectionToPeer, type Resolver } from './peer-certificate.ts';

const resolver: Resolver = {
  namesOf: (address) => (address === '10.0.0.7' ? Promise.resolve(['m7.example.']) : Promise.reject(new Error(`lookup ${address}: no such host`))),
  addressesOf: (name) => (name === 'm8.example' ? Promise.resolve(['10.0.0.8']) : Promise.reject(new Error(`lookup ${name}: no such host`))),
};
const objection = (names: string | undefined, from: string): Promise<string | undefined> => objectionToPeer(names, from, resolver);

test('a peer may come from the addresses that its certificate names', async () => {
  assert.equal(await objection('DNS:m-k8s, IP Address:10.0.0.1, IP Address:127.0.0.1', '10.0.0.1'), undefined);
  assert.equal(await objection('IP Address:10.0.0.1', '::ffff:10.0.0.1'), undefined);
  assert.equal(await objection('IP Address:FE80:0:0:0:0:0:0:1', 'fe80::1'), undefined);
  assert.equal(await objection('IP Address:10.0.0.1, IP Address:10.0.0.2', '10.0.0.9'), 'x509: certificate is valid for 10.0.0.1, 10.0.0.2, not 10.0.0.9');
});

test('a name counts when it leads to the address, or the address to it', async () => {
  assert.equal(await objection('DNS:m7.example', '10.0.0.7'), undefined);
  assert.equal(await objection('DNS:*.example', '10.0.0.7'), undefined);
  assert.equal(await objection('DNS:m8.example, IP Address:10.0.0.1', '10.0.0.8'), undefined);
  assert.equal(await objection('DNS:m8.example', '10.0.0.9'), 'tls: "10.0.0.9" does not match any of DNSNames ["m8.example"] (lookup 10.0.0.9: no such host)');
});

test('a certificate without names, or none, is not held against its address', async () => {
  assert.equal(await objection(undefined, '10.0.0.9'), undefined);
  assert.equal(await objection('', '10.0.0.9'), undefined);
});

test('a connection from an address that its certificate does not name is closed', async () => {
  const folder = temporaryFolder();
  after(() => folder.remove());
  await writeCertificates(folder.path); // of localhost and 127.0.0.1
  const file = (name: string): string => join(folder.path, name);
  const [ca, cert, key] = ['ca.crt', 'server.crt', 'server.key'].map((name) => readFileSync(file(name))) as [Buffer, Buffer, Buffer];
  const listening = await listen({
    urls: ['https://127.0.0.1:0'], http: (_, response) => response.end('answer'),
    tls: newServerTls(tlsInfo({ certFile: file('server.crt'), keyFile: file('server.key'), trustedCaFile: file('ca.crt') }), { refusal: 'rejected', checksAddress: true, log: pino({ level: 'silent' }), resolver }),
  });
  const get = (localAddress: string): Promise<string> => new Promise((resolve) => {
    request(`${listening.urls[0]}/`, { ca, cert, key, localAddress, agent: false }, (response) => response.on('data', (text) => resolve(String(text)))).on('error', () => resolve('closed')).end();
  });
  assert.equal(await get('127.0.0.1'), 'answer');
  assert.equal(await get('127.0.0.2'), 'closed');
  await listening.close();
});
