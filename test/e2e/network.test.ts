// Services, load balancers, policies, Ingresses and names with an unmodified kubectl: who reaches whom, by which way.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { runCommand, TestCluster, until } from './cluster.ts';

let cluster: TestCluster;

/** What answers a request: its name and who it thinks has asked. */
const WHO = `mkdir -p /www/cgi-bin; printf '#!/bin/sh\\nprintf "Content-type: text/plain\\\\n\\\\n%%s %%s %%s" $(hostname) $REMOTE_ADDR "$HTTP_HOST"\\n' >/www/cgi-bin/who; chmod +x /www/cgi-bin/who; exec httpd -f -p 8080 -h /www`;
const probe = { httpGet: { path: '/cgi-bin/who', port: 'http' }, periodSeconds: 1, failureThreshold: 2 };
const server = (name: string, nodeName: string): object => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { app: 'web' } },
  spec: { nodeName, hostname: name, subdomain: 'direct', terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox', command: ['sh', '-c', WHO], ports: [{ name: 'http', containerPort: 8080 }], livenessProbe: probe, readinessProbe: probe }] },
});
const client = (name: string, nodeName: string, namespace = 'default'): object => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels: { client: name } },
  spec: { nodeName, terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox', command: ['sleep', 'inf'] }] },
});
const service = (name: string, spec: object, selector: object | null = { app: 'web' }): object => ({
  apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { ports: [{ name: 'http', port: 80, targetPort: 'http' }], ...(selector === null ? {} : { selector }), ...spec },
});
const policy = (spec: object): object => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name: 'rules' }, spec });

let files = 0;
async function apply(...objects: object[]): Promise<void> {
  const path = cluster.writeFile(`objects-${(files += 1)}.json`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }));
  await cluster.kubectlOk('apply', '-f', path);
}

const URL_PATH = '/cgi-bin/who';
/** Who answered a pod, or undefined: nobody did. */
async function fromPod(pod: string, host: string): Promise<string | undefined> {
  const [namespace = '', name = ''] = pod.split('/');
  const { code, stdout } = await cluster.kubectl(['-n', namespace, 'exec', name, '--', 'timeout', '1', 'wget', '-q', '-O', '-', `http://${host}${URL_PATH}`]);
  return code === 0 ? stdout.split(' ')[0] : undefined;
}
const GOOD = 'default/good';
const BAD = 'default/bad';
const FOREIGN = 'other/foreign';
/** Waits until exactly these clients get an answer from every one of `hosts`. */
const onlyReachedBy = (what: string, allowed: readonly string[], hosts: readonly string[]): Promise<unknown> => until(what, async () => {
  const answers = await Promise.all([GOOD, BAD, FOREIGN].flatMap((pod) => hosts.map(async (host) => ({ pod, host, isAnswered: (await fromPod(pod, host)) !== undefined }))));
  assert.deepEqual(answers.filter(({ pod, isAnswered }) => isAnswered !== allowed.includes(pod)), []);
  return true;
}, 20_000);

interface Answer {
  readonly server: string;
  readonly client: string;
}
/** Answers that a host gets to so many requests; one that fails is `curl` with its exit code. */
async function fromHost(host: string, address: string, count = 1): Promise<Answer[]> {
  const { stdout } = await cluster.on(host, 'sh', '-c', `for i in $(seq ${count}); do curl -s -m 2 http://${address}${URL_PATH} || printf "curl $?"; echo; done`);
  return stdout.trim().split('\n').map((line) => ({ server: line.split(' ')[0] ?? '', client: line.split(' ')[1] ?? '' }));
}
const serversOf = (answers: readonly Answer[]): string[] => [...new Set(answers.map((one) => one.server))].sort();
const untilServedBy = (host: string, address: string, expected: readonly string[], count = 12): Promise<unknown> => until(`${host} gets ${expected.join()} from ${address}`, async () => {
  assert.deepEqual(serversOf(await fromHost(host, address, count)), expected);
  return true;
}, 20_000);

const addressOf = (name: string): Promise<string> => cluster.kubectlOk('get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}');
const balancerOf = (name: string, namespace = 'default'): Promise<string> => until(`${name} has an address`, async () =>
  (await cluster.kubectlOk('-n', namespace, 'get', 'service', name, '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}')) || undefined);
const WORKERS = ['w1-k8s', 'w2-k8s', 'w3-k8s'];
/** The hosts that answer for an address. */
async function announcers(address: string): Promise<string[]> {
  const found = await Promise.all(WORKERS.map(async (host) => ((await cluster.onOk(host, 'ip', '-4', 'address', 'show', 'eth0')).includes(`${address}/32`) ? [host] : [])));
  return found.flat();
}

describe('network', { timeout: 300_000 }, () => {
  before(async () => {
    cluster = await TestCluster.start();
    await apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'other', labels: { team: 'b' } } },
      server('one', 'w1-k8s'), server('two', 'w2-k8s'), client('good', 'w1-k8s'), client('bad', 'w2-k8s'), client('foreign', 'w2-k8s', 'other'),
      service('web', {}), service('direct', { clusterIP: 'None' }), service('node-port', { type: 'NodePort' }), service('local', { internalTrafficPolicy: 'Local' }), service('near', { trafficDistribution: 'PreferSameNode' }),
      service('nobody', {}, { app: 'nobody' }), service('outside', { type: 'ExternalName', externalName: 'web.default.svc.cluster.local' }, null), service('given', { externalIPs: ['192.168.1.200'] }),
      service('balanced', { type: 'LoadBalancer' }), service('balanced-local', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }),
    );
    for (const namespace of ['default', 'other']) await cluster.kubectlOk('-n', namespace, 'wait', 'pod', '--all', '--for=condition=Ready', '--timeout=60s');
  });
  after(async () => {
    await cluster.down();
  });

  test('services spread, stay on a node, or refuse, as their kind and policies say', async () => {
    const nodePort = await cluster.kubectlOk('get', 'service', 'node-port', '-o', 'jsonpath={.spec.ports[0].nodePort}');
    const [web, local, near, nobody] = await Promise.all(['web', 'local', 'near', 'nobody'].map(addressOf)) as [string, string, string, string];
    await Promise.all([
      untilServedBy('m-k8s', web, ['one', 'two']),
      untilServedBy('w3-k8s', `192.168.1.101:${nodePort}`, ['one', 'two']),
      untilServedBy('w3-k8s', '192.168.1.200', ['one', 'two']),
      untilServedBy('w1-k8s', local, ['one']),
      untilServedBy('w2-k8s', near, ['two']),
      untilServedBy('m-k8s', near, ['one', 'two']),
      untilServedBy('m-k8s', nobody, ['curl'], 1),
    ]);
    const refused = async (host: string, address: string): Promise<string> => (await fromHost(host, address))[0]?.client ?? '';
    assert.equal(await refused('m-k8s', nobody), '7', 'without endpoints a connection is refused');
    assert.equal(await refused('m-k8s', local), '28', 'with endpoints elsewhere only, what is to stay on the node is dropped');
    assert.equal(await refused('m-k8s', `${web}:81`), '7', 'a port that the service does not have');

    await apply(service('by-hand', {}, null), {
      apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: { name: 'by-hand-1', labels: { 'kubernetes.io/service-name': 'by-hand' } }, addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080 }], endpoints: [{ addresses: [await cluster.kubectlOk('get', 'pod', 'two', '-o', 'jsonpath={.status.podIP}')] }],
    });
    await untilServedBy('m-k8s', await addressOf('by-hand'), ['two'], 3);
    await cluster.kubectlOk('delete', 'service', 'node-port');
    await until('the node port is closed', async () => (await refused('w3-k8s', `192.168.1.101:${nodePort}`)) === '7');
  });

  test('names of the cluster are those of CoreDNS', async () => {
    const script = `const r = new (require('dns').promises.Resolver)(); r.setServers(['10.96.0.10']);
      const c = '.default.svc.cluster.local', ask = (way, name) => r[way](name).catch((e) => e.code);
      (async () => console.log(JSON.stringify({
        web: await ask('resolve4', 'web' + c), none: await ask('resolve4', 'nope' + c), noType: await ask('resolve6', 'web' + c), namespace: await ask('resolve4', 'default.svc.cluster.local'),
        one: await ask('resolve4', 'one.direct' + c), headless: (await ask('resolve4', 'direct' + c)).length, srv: await ask('resolveSrv', '_http._tcp.direct' + c), port: await ask('resolveSrv', '_http._tcp.web' + c),
        alias: await ask('resolveCname', 'outside' + c), followed: await ask('resolve4', 'outside' + c), pod: await ask('resolve4', '1-2-3-4.default.pod.cluster.local'),
        dns: await ask('resolvePtr', '10.0.96.10.in-addr.arpa'),
      })))()`;
    const answers = JSON.parse(await cluster.onOk('m-k8s', 'node', '-e', script)) as Record<string, unknown>;
    const [web, one] = [await addressOf('web'), await cluster.kubectlOk('get', 'pod', 'one', '-o', 'jsonpath={.status.podIP}')];
    const { srv, ...others } = answers as { srv: { name: string; port: number; weight: number }[] };
    assert.deepEqual(others, {
      web: [web], none: 'ENOTFOUND', noType: 'ENODATA', namespace: 'ENODATA', one: [one], headless: 2, port: [{ name: 'web.default.svc.cluster.local', port: 80, priority: 0, weight: 100 }],
      alias: ['web.default.svc.cluster.local'], followed: [web], pod: ['1.2.3.4'], dns: ['kube-dns.kube-system.svc.cluster.local'],
    });
    assert.deepEqual(srv.map(({ name, port, weight }) => [name, port, weight]).sort(), [['one.direct.default.svc.cluster.local', 8080, 50], ['two.direct.default.svc.cluster.local', 8080, 50]]);
    assert.ok(await fromPod(FOREIGN, 'web.default'), 'search paths of pods');
  });

  test('network policies let through what they name, whatever way it takes, and leave probes alone', async () => {
    const podAddress = await cluster.kubectlOk('get', 'pod', 'one', '-o', 'jsonpath={.status.podIP}');
    const targets = [await addressOf('web'), `${podAddress}:8080`];
    await apply(policy({ podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'] }));
    await onlyReachedBy('nobody gets in', [], targets);
    assert.equal((await fromHost('w1-k8s', `${podAddress}:8080`))[0]?.server, 'one', 'its own host does');
    await apply(policy({ podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from: [{ podSelector: { matchLabels: { client: 'good' } } }], ports: [{ port: 'http' }] }] }));
    await onlyReachedBy('a pod by its labels, to a port by its name', [GOOD], targets);
    await apply(policy({ podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'b' } } }, { ipBlock: { cidr: '192.168.1.0/24' } }], ports: [{ port: 8000, endPort: 9000 }] }] }));
    await onlyReachedBy('pods by their namespace, to a range of ports', [FOREIGN], targets);
    await untilServedBy('m-k8s', `${podAddress}:8080`, ['one'], 1);
    await apply(policy({ podSelector: { matchLabels: { client: 'good' } }, policyTypes: ['Egress'], egress: [{ to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } }], ports: [{ protocol: 'UDP', port: 53 }] }] }));
    await onlyReachedBy('whoever may only ask for names gets nowhere', [BAD, FOREIGN], targets);
    assert.match(await cluster.kubectlOk('exec', 'good', '--', 'nslookup', 'web.default.svc.cluster.local'), new RegExp(targets[0] ?? ''));
    assert.notEqual((await cluster.kubectl(['exec', 'good', '--', 'timeout', '1', 'nc', '-z', '192.168.1.101', '10256'])).code, 0, 'nor to its own host');
    await cluster.kubectlOk('delete', 'networkpolicy', 'rules');
    await onlyReachedBy('without policies everybody gets everywhere', [GOOD, BAD, FOREIGN], targets);
    assert.equal(await cluster.kubectlOk('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].status.containerStatuses[*].restartCount}'), '0 0', 'probes went on');
  });

  test('a load balancer has an address that one host answers for, and another when that one may not', async () => {
    const [address, localAddress] = await Promise.all([balancerOf('balanced'), balancerOf('balanced-local')]);
    await untilServedBy('m-k8s', address, ['one', 'two']);
    const [speaker = '', ...others] = await announcers(address);
    assert.deepEqual([WORKERS.includes(speaker), others], [true, []]);
    const [localSpeaker = ''] = await announcers(localAddress);
    assert.ok(['w1-k8s', 'w2-k8s'].includes(localSpeaker), `${localSpeaker} has a pod of it`);
    const healthPort = await cluster.kubectlOk('get', 'service', 'balanced-local', '-o', 'jsonpath={.spec.healthCheckNodePort}');
    const health = async (host: string): Promise<string> => cluster.onOk('m-k8s', 'curl', '-s', '-m', '2', '-o', '/dev/null', '-w', '%{http_code}', `http://${host}:${healthPort}/healthz`);
    assert.deepEqual([await health('192.168.1.101'), await health('192.168.1.103')], ['200', '503']);

    await cluster.kubectlOk('label', 'node', speaker, 'node.kubernetes.io/exclude-from-external-load-balancers=');
    await until('another host answers', async () => {
      const now = await announcers(address);
      return now.length === 1 && now[0] !== speaker;
    });
    await untilServedBy('m-k8s', address, ['one', 'two']);
    await cluster.kubectlOk('label', 'node', speaker, 'node.kubernetes.io/exclude-from-external-load-balancers-');

    await cluster.kubectlOk('patch', 'service', 'balanced', '-p', '{"spec":{"loadBalancerSourceRanges":["192.168.1.103/32"]}}');
    await until('others are kept out', async () => (await fromHost('m-k8s', address))[0]?.client === '28');
    await untilServedBy('w3-k8s', address, ['one', 'two']);
    await cluster.kubectlOk('delete', 'service', 'balanced');
    await until('nobody answers any more', async () => (await announcers(address)).length === 0);
  });

  test('the first Ingress starts nginx, which serves hosts and TLS and comes back when it is killed', async () => {
    const [key, certificate] = [cluster.writeFile('tls.key', ''), cluster.writeFile('tls.crt', '')];
    const made = await runCommand('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=safe.example', '-addext', 'subjectAltName=DNS:safe.example', '-keyout', key, '-out', certificate]);
    assert.equal(made.code, 0, made.stderr);
    await cluster.kubectlOk('create', 'secret', 'tls', 'safe', `--cert=${certificate}`, `--key=${key}`);
    await cluster.kubectlOk('create', 'ingress', 'plain', '--class=nginx', '--rule=plain.example/*=web:80');
    await cluster.kubectlOk('create', 'ingress', 'safe', '--class=nginx', '--rule=safe.example/cgi-bin*=web:http,tls=safe');
    const address = await until('the Ingress has its address', async () => (await cluster.kubectlOk('get', 'ingress', 'plain', '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}')) || undefined);
    assert.equal(address, await balancerOf('ingress-nginx-controller', 'ingress-nginx'));
    const curl = async (...args: string[]): Promise<string> => (await cluster.on('m-k8s', 'curl', '-s', '-k', '-m', '2', '-w', ' %{http_code}', ...args)).stdout;
    const plain = (): Promise<string> => curl('-H', 'Host: plain.example', `http://${address}${URL_PATH}`);
    const isServed = (text: string): boolean => /^(one|two) \S+ plain\.example 200$/.test(text);
    await until('plain.example is served', async () => isServed(await plain()));
    const overTls = ['--resolve', `safe.example:443:${address}`, '--resolve', `safe.example:80:${address}`];
    await until('safe.example is served', async () => /^(one|two) \S+ safe\.example 200$/.test(await curl(...overTls, `https://safe.example${URL_PATH}`)));
    assert.match(await curl(...overTls, `http://safe.example${URL_PATH}`), /308$/);
    assert.match(await curl(...overTls, '-v', '--stderr', '-', '-o', '/dev/null', `https://safe.example${URL_PATH}`), /subject: CN=safe\.example/);
    assert.match(await curl(`http://${address}${URL_PATH}`), /404$/, 'a host that no Ingress names');
    assert.match(await cluster.kubectlOk('describe', 'ingress', 'plain'), /Sync .*Scheduled for sync/);

    await cluster.kubectlOk('-n', 'ingress-nginx', 'exec', 'deploy/ingress-nginx-controller', '--', 'sh', '-c', 'kill -9 $(pgrep -o -x nginx)');
    await until('nginx is back', async () => isServed(await plain()));
    await cluster.kubectlOk('delete', 'ingress', 'plain');
    await until('plain.example is gone', async () => /404$/.test(await plain()));
  });
});
