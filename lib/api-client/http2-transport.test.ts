import assert from 'node:assert/strict';
import { once, setMaxListeners } from 'node:events';
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { connect, createServer as createNetServer, type AddressInfo, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { createCertificateAuthority, issueCertificate, type KeyAndCertificate } from '#lib/pki/certificate.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { ApiClient, TransportError } from './client.ts';

const NEVER = new AbortController().signal;
setMaxListeners(0, NEVER);
const JSON_TYPE = { 'content-type': 'application/json' };
const list = (names: string[]) => JSON.stringify({ metadata: { resourceVersion: '7' }, items: names.map((name) => ({ metadata: { name } })) });

describe('the client over HTTP/2', () => {
  let ca: KeyAndCertificate;
  let identity: KeyAndCertificate;
  let server: Http2SecureServer;
  const sessions = new Set<ServerHttp2Session>();
  let sessionsEver = 0;
  const clients: ApiClient[] = [];

  before(async () => {
    const nowMs = Date.now();
    ca = await createCertificateAuthority({ commonName: 'test-ca', nowMs });
    identity = await issueCertificate({ ca, commonName: 'test', ipAddresses: ['127.0.0.1'], usages: ['server'], nowMs });
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.close()));
    server?.close();
    for (const session of sessions) session.destroy();
  });

  async function serve(maxConcurrentStreams = 250): Promise<ApiClient> {
    server?.close();
    sessionsEver = 0;
    server = createSecureServer({ key: identity.keyPem, cert: identity.certPem, allowHTTP1: true, settings: { maxConcurrentStreams } }, (request, response) => {
      if (request.url.includes('watch=true')) {
        response.writeHead(200);
        response.write('{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"8"}}}\n');
        return;
      }
      request.resume().on('end', () => response.writeHead(200, JSON_TYPE).end(list([request.httpVersion, String(request.headers['user-agent'])])));
    });
    server.on('session', (session) => {
      sessionsEver += 1;
      sessions.add(session);
      session.once('close', () => sessions.delete(session));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return newClient(`https://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
  function newClient(origin: string): ApiClient {
    const client = new ApiClient({ server: origin, caPem: ca.certPem }, 'test/1');
    clients.push(client);
    return client;
  }
  const watch = (api: ApiClient, signal = NEVER) => api.watch(configMapKind, { resourceVersion: '7', signal });

  test('watches and requests share one connection', async () => {
    const api = await serve();
    const watches = Array.from({ length: 20 }, () => watch(api));
    await Promise.all(watches.map((one) => one.next()));
    const { items } = await api.list(configMapKind);
    assert.deepEqual(items.map(({ metadata }) => metadata.name), ['2.0', 'test/1']);
    assert.equal(sessionsEver, 1);
    await Promise.all(watches.map((one) => one.return(undefined)));
  });

  test('a connection that holds as many streams as the server takes gets a second beside it', async () => {
    const api = await serve(4);
    const watches = Array.from({ length: 4 }, () => watch(api));
    for (const one of watches) await one.next();
    assert.equal((await api.list(configMapKind)).resourceVersion, '7');
    assert.equal(sessionsEver, 2);
    await Promise.all(watches.map((one) => one.return(undefined)));
  });

  test('many requests at once are all answered, also by a server that takes few', async () => {
    const api = await serve(4);
    const answers = await Promise.all(Array.from({ length: 120 }, () => api.list(configMapKind)));
    assert.equal(answers.length, 120);
  });

  test('a connection that breaks ends its watches, and the next request makes a new one', async () => {
    const api = await serve();
    const one = watch(api);
    await one.next();
    for (const session of sessions) session.destroy();
    // Where the other side says goodbye in HTTP/2's way this is an end like any other, else an error.
    await one.next().then(({ done }) => assert.equal(done, true), (error) => assert.ok(error instanceof TransportError));
    assert.equal((await api.list(configMapKind)).items.length, 2);
  });

  test('after a GOAWAY new requests take a new connection, and what runs goes on', async () => {
    const api = await serve();
    const one = watch(api);
    await one.next();
    for (const session of sessions) session.goaway();
    await eventually(async () => {
      await api.list(configMapKind);
      return sessionsEver === 2;
    });
    await one.return(undefined);
  });

  test('an answer that breaks off is an error, not half an answer', async () => {
    const api = await serve();
    server.removeAllListeners('request');
    server.on('request', (_request, response) => {
      response.writeHead(200, { ...JSON_TYPE, 'content-length': '1000' });
      response.write('{"items":[]}', () => response.stream.session?.destroy());
    });
    await assert.rejects(api.list(configMapKind), (error) => error instanceof TransportError);
  });

  test('an abort ends a watch and the stream under it', async () => {
    const api = await serve();
    const abort = new AbortController();
    const one = watch(api, abort.signal);
    await one.next();
    const next = one.next();
    abort.abort(new Error('enough'));
    await assert.rejects(next);
    assert.equal((await api.list(configMapKind)).items.length, 2);
    assert.equal(sessionsEver, 1);
  });

  test('an answer that is cut without a word of its length is an error of the transport', async () => {
    const api = await serve();
    server.removeAllListeners('request');
    server.on('request', (_request, response) => response.writeHead(200, JSON_TYPE).end('{"items":['));
    await assert.rejects(api.list(configMapKind), (error) => error instanceof TransportError && /cut off/.test(error.message));
  });

  test('a connection that nothing uses is closed', async (t) => {
    const api = await serve();
    t.mock.timers.enable({ apis: ['setInterval'] });
    await api.list(configMapKind);
    const session = [...sessions].at(-1);
    assert.ok(session);
    await eventually(() => {
      t.mock.timers.tick(15_000);
      return session.closed;
    });
    assert.equal((await api.list(configMapKind)).items.length, 2);
    assert.equal(sessionsEver, 2);
  });

  test('whoever drops the connections is heard by their watches, and served again', async () => {
    const api = await serve();
    const one = watch(api);
    await one.next();
    const next = one.next();
    api.dropConnections();
    await assert.rejects(next, (error) => error instanceof TransportError);
    assert.equal((await api.list(configMapKind)).items.length, 2);
    assert.equal(sessionsEver, 2);
  });

  test('a connection to a host that has gone silent is given up', async (t) => {
    await serve();
    const links: (readonly [client: Socket, server: Socket])[] = [];
    const network = createNetServer((socket) => {
      const onwards = connect((server.address() as AddressInfo).port, '127.0.0.1');
      links.push([socket, onwards]);
      socket.pipe(onwards).pipe(socket);
      for (const side of [socket, onwards]) side.on('error', () => side.destroy());
    }).listen(0, '127.0.0.1');
    await once(network, 'listening');
    t.after(() => network.close());
    t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] });
    const api = newClient(`https://127.0.0.1:${(network.address() as AddressInfo).port}`);
    const one = watch(api);
    await one.next();
    const next = one.next();
    for (const [, onwards] of links) onwards.unpipe().pause();
    t.mock.timers.tick(15_000); // sees the bytes that came
    t.mock.timers.tick(30_000); // asks
    t.mock.timers.tick(15_000); // gives up
    await assert.rejects(next, (error) => error instanceof TransportError && /connection lost/.test((error.cause as Error).message));
    for (const side of links.flat()) side.destroy();
  });

  test('closing a client ends a connection that is being made', async (t) => {
    let accepted: () => void;
    const arrived = new Promise<void>((resolve) => { accepted = resolve; });
    const mute = createNetServer((socket) => {
      socket.resume().on('error', () => socket.destroy());
      accepted();
    }).listen(0, '127.0.0.1');
    await once(mute, 'listening');
    t.after(() => mute.close());
    const api = newClient(`https://127.0.0.1:${(mute.address() as AddressInfo).port}`);
    const list = assert.rejects(api.list(configMapKind), /the client is closed/);
    await arrived;
    await api.close();
    await list;
  });

  test('a server that cannot be reached is a TransportError that says so', async () => {
    const api = newClient('https://127.0.0.1:1');
    await assert.rejects(api.list(configMapKind), (error) => error instanceof TransportError && /ECONNREFUSED/.test(error.message));
  });

  test('a certificate of another authority is refused', async () => {
    await serve();
    const api = new ApiClient({ server: `https://127.0.0.1:${(server.address() as AddressInfo).port}` }, 'test/1');
    clients.push(api);
    await assert.rejects(api.list(configMapKind), (error) => error instanceof TransportError && /unable to verify/.test(error.message));
  });

  test('a server with HTTP/1.1 only is spoken to in HTTP/1.1', async () => {
    const old = createHttpsServer({ key: identity.keyPem, cert: identity.certPem }, (request, response) => response.writeHead(200, JSON_TYPE).end(list([request.httpVersion])));
    old.listen(0, '127.0.0.1');
    await once(old, 'listening');
    try {
      const api = newClient(`https://127.0.0.1:${(old.address() as AddressInfo).port}`);
      assert.equal((await api.list(configMapKind)).items[0]?.metadata.name, '1.1');
      assert.equal((await api.list(configMapKind)).items[0]?.metadata.name, '1.1');
    } finally {
      old.closeAllConnections();
      old.close();
    }
  });
});
