// The whole name server over real sockets, with another name server beside it that knows the rest of the world.
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import packet, { type DecodedPacket } from 'dns-packet';
import pino from 'pino';
import { systemClock } from '#lib/environment/clock.ts';
import { systemRandom } from '#lib/environment/random.ts';
import { parseFlags } from '#lib/service/flags.ts';
import { eventually } from '#lib/testing/eventually.ts';
import { ObjectServer } from '#lib/testing/object-server.ts';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { Forwarder, READ_TIMEOUT_MS } from './edge/forwarder.ts';
import { coreDnsFlags } from './flags.ts';
import { startCoreDns } from './service.ts';

const HOST = '127.0.0.77';
const PORT = 15_353;
const api = new ObjectServer();
const folder = scratchFolder('coredns');
const stopping = new AbortController();
let running: Promise<void>;
const upstream = createSocket('udp4');
let upstreamQuestions = 0;
let logged = '';

const question = (name: string, type = 'A', id = 5): Buffer => packet.encode({ type: 'query', id, flags: packet.RECURSION_DESIRED, questions: [{ name, type: type as 'A' }] });
function ask(name: string, type = 'A', timeoutMs = 2_000): Promise<DecodedPacket & { rcode: string }> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    const timer = setTimeout(() => { socket.close(); reject(new Error(`no answer for ${name}`)); }, timeoutMs);
    socket.on('message', (message) => {
      clearTimeout(timer);
      socket.close();
      resolve(packet.decode(message) as DecodedPacket & { rcode: string });
    });
    socket.send(question(name, type), PORT, HOST);
  });
}
const data = async (name: string, type = 'A'): Promise<unknown[]> => ((await ask(name, type)).answers ?? []).map((answer) => (answer as { data: unknown }).data);

before(async () => {
  upstream.on('message', (message, { port, address }) => {
    upstreamQuestions += 1;
    const asked = packet.decode(message);
    const name = asked.questions?.[0]?.name ?? '';
    if (name.startsWith('silent')) return;
    upstream.send(packet.encode({ type: 'response', id: asked.id ?? 0, flags: packet.RECURSION_AVAILABLE, questions: asked.questions ?? [], answers: [{ name, type: 'A', ttl: 300, data: '93.184.216.34' }] }), port, address);
  });
  await new Promise<void>((resolve) => upstream.bind(0, '127.0.0.1', () => resolve()));
  const server = await api.start();
  writeFileSync(`${folder}/kubeconfig`, `current-context: c\nclusters: [{name: c, cluster: {server: "${server}"}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n`);
  writeFileSync(`${folder}/Corefile`, `.:${PORT} {
    errors
    health :18080
    ready :18181
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :19153
    forward . 127.0.0.1:${upstream.address().port}
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload 50ms
    loadbalance
}
`);
  for (const name of ['default', 'kube-system']) api.put(`/api/v1/namespaces/${name}`, {});
  api.put('/api/v1/namespaces/default/services/web', { spec: { clusterIP: '10.96.0.50', ports: [{ name: 'http', port: 80, protocol: 'TCP' }] } });
  api.put('/api/v1/namespaces/default/services/many', { spec: { clusterIP: 'None' } });
  api.put('/api/v1/namespaces/default/services/elsewhere', { spec: { type: 'ExternalName', externalName: 'example.org' } });
  api.put('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/many-1', {
    metadata: { labels: { 'kubernetes.io/service-name': 'many' } }, addressType: 'IPv4', ports: [],
    endpoints: Array.from({ length: 100 }, (_, index) => ({ addresses: [`172.16.1.${index}`], conditions: { ready: true } })),
  });
  const flags = parseFlags(coreDnsFlags, ['-conf', `${folder}/Corefile`, `--kubeconfig=${folder}/kubeconfig`, `--emulator-bind-address=${HOST}`]);
  running = startCoreDns(flags, {}, { clock: systemClock, random: systemRandom, log: pino({ level: 'error' }, { write: (line) => void (logged += line) }) }, stopping.signal);
  await eventually(async () => (await fetch(`http://${HOST}:18181/ready`)).status === 200, { what: 'readiness' });
});
after(async () => {
  stopping.abort();
  await running;
  upstream.close();
  await api.stop();
});

test('a service is found, and a new one at once', async () => {
  assert.deepEqual(await data('web.default.svc.cluster.local'), ['10.96.0.50']);
  assert.equal((await ask('fresh.default.svc.cluster.local')).rcode, 'NXDOMAIN');
  api.put('/api/v1/namespaces/default/services/fresh', { spec: { clusterIP: '10.96.0.60', ports: [] } });
  await eventually(async () => (await data('fresh.default.svc.cluster.local')).length > 0, { what: 'the new name' });
});

test('an answer that is too large by UDP comes whole by TCP, two questions on one connection', async () => {
  const cut = await ask('many.default.svc.cluster.local');
  assert.equal(cut.flag_tc, true);
  const answers = await new Promise<DecodedPacket[]>((resolve, reject) => {
    const socket = connect(PORT, HOST);
    let received = Buffer.alloc(0);
    const all: DecodedPacket[] = [];
    const framed = (message: Buffer): Buffer => Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]);
    socket.on('error', reject).on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        all.push(packet.decode(received.subarray(2, 2 + received.readUInt16BE(0))));
        received = received.subarray(2 + received.readUInt16BE(0));
      }
      if (all.length === 2) { socket.destroy(); resolve(all); }
    });
    socket.write(Buffer.concat([framed(question('many.default.svc.cluster.local')), framed(question('web.default.svc.cluster.local'))]));
  });
  assert.deepEqual(answers.map(({ answers: list }) => list?.length), [100, 1]);
});

test('addresses come in changing order', async () => {
  const first = new Set<unknown>();
  for (let round = 0; round < 12; round += 1) first.add((await data('many.default.svc.cluster.local'))[0]);
  assert.ok(first.size > 3);
});

test('other names are asked for elsewhere, and then remembered; aliases lead there', async () => {
  assert.deepEqual(await data('example.org'), ['93.184.216.34']);
  const before = upstreamQuestions;
  const again = await ask('EXAMPLE.org');
  assert.equal(upstreamQuestions, before);
  assert.ok(((again.answers?.[0] as { ttl: number }).ttl) <= 30);
  assert.deepEqual(await data('elsewhere.default.svc.cluster.local'), ['example.org', '93.184.216.34']);
  assert.deepEqual(await data('8.8.8.8.in-addr.arpa', 'PTR'), ['93.184.216.34']);
});

test('when nobody listens at the other name server, failure comes at once, however often one asks', async () => {
  const closed = createSocket('udp4');
  await new Promise<void>((resolve) => closed.bind(0, '127.0.0.1', () => resolve()));
  const { port } = closed.address();
  closed.close();
  const forwarder = new Forwarder({ from: '.', to: [`127.0.0.1:${port}`], except: [], policy: 'random', maxConcurrent: 1000, preferUdp: false, forceTcp: false }, { clock: systemClock, random: systemRandom });
  const startedMs = performance.now();
  for (let round = 0; round < 50; round += 1) assert.equal((await forwarder.ask({ name: `n${round}.org`, type: 'A', class: 'IN' }, 'udp')).rcode, 'SERVFAIL');
  assert.ok(performance.now() - startedMs < READ_TIMEOUT_MS, 'a question waited for an answer');
});

test('garbage does not stop it', async () => {
  const socket = createSocket('udp4');
  for (let round = 0; round < 200; round += 1) socket.send(Buffer.from(Array.from({ length: round }, (_, index) => (index * 7919 + round * 31) % 256)), PORT, HOST);
  const tcp = connect(PORT, HOST);
  tcp.on('error', () => undefined).write(Buffer.from([255, 255, 1, 2, 3]));
  assert.deepEqual(await eventually(() => data('web.default.svc.cluster.local')), ['10.96.0.50']);
  socket.close();
  tcp.destroy();
});

test('a changed Corefile takes effect; a broken one does not', async () => {
  const text = readFileSync(`${folder}/Corefile`, 'utf8');
  writeFileSync(`${folder}/Corefile`, text.replace('ttl 30', 'ttl 7'));
  const ttl = async (): Promise<number | undefined> => ((await ask('web.default.svc.cluster.local')).answers?.[0] as { ttl: number } | undefined)?.ttl;
  await eventually(async () => (await ttl()) === 7, { what: 'the new time to live' });
  writeFileSync(`${folder}/Corefile`, text.replace('ttl 30', 'bogus'));
  await eventually(() => logged.includes('unknown property \'bogus\''), { what: 'the complaint' });
  assert.equal(await ttl(), 7);
});

test('health, readiness and metrics are served', async () => {
  assert.equal(await (await fetch(`http://${HOST}:18080/health`)).text(), 'OK');
  assert.match(await (await fetch(`http://${HOST}:19153/metrics`)).text(), /coredns_dns_requests_total\{server="dns:\/\/:15353",zone="\."/);
});

test('names are still known when the API server is away', async () => {
  api.setDown(true);
  assert.deepEqual(await data('web.default.svc.cluster.local'), ['10.96.0.50']);
  api.setDown(false);
});
