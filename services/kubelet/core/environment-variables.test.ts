import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfigMap, Secret, Service } from '#lib/kinds/types/core-v1.ts';
import { environmentOf, expand, referencesOf, variablesOfService, type ReferencedObjects } from './environment-variables.ts';
import { container, pod } from './testing.ts';

const context = { podIPs: ['172.16.0.2'], hostIPs: ['192.168.1.101'], nodeName: 'w1-k8s', nodeAllocatable: { cpu: '2', memory: '4Gi' } };
const configMaps: Record<string, ConfigMap> = { cm: { metadata: { name: 'cm' }, data: { KEY: 'from-map' } } };
const secrets: Record<string, Secret> = { sec: { metadata: { name: 'sec' }, data: { pw: btoa('geheim') } } };
const objects: ReferencedObjects = { configMap: (name) => configMaps[name], secret: (name) => secrets[name] };
const service = (name: string, namespace: string, clusterIP = '10.96.0.7'): Service =>
  ({ metadata: { name, namespace }, spec: { clusterIP, ports: [{ name: 'http', port: 80, protocol: 'TCP' }, { name: 'dns', port: 53, protocol: 'UDP' }] } });

const environment = (more: Parameters<typeof container>[1], services: Service[] = [], spec = {}): Record<string, string> =>
  Object.fromEntries(environmentOf({ pod: pod(spec), container: container('a', more), services, objects, context }));

test('$(NAME) is replaced, $$ escapes, unknown names stay as written', () => {
  const lookup = (name: string): string | undefined => ({ A: '1', B: '$(A)' })[name];
  const cases: [string, string][] = [['$(A)', '1'], ['x$(A)y', 'x1y'], ['$$(A)', '$(A)'], ['$(NO)', '$(NO)'], ['$(B)', '$(A)'], ['$A', '$A'], ['$', '$'], ['$(A', '$(A'], ['$$$(A)', '$1'], ['$()', '$()']];
  for (const [text, expected] of cases) assert.equal(expand(text, lookup), expected, text);
});

test('a variable sees those before it and the services, and own variables win over envFrom', () => {
  const result = environment({
    envFrom: [{ configMapRef: { name: 'cm' }, prefix: 'P_' }, { secretRef: { name: 'sec' } }],
    env: [{ name: 'A', value: '1' }, { name: 'B', value: '$(A)-$(C)-$(WEB_SERVICE_HOST)' }, { name: 'C', value: '3' }, { name: 'pw', value: 'mine' }],
  }, [service('web', 'default')]);
  assert.deepEqual([result['P_KEY'], result['pw'], result['B']], ['from-map', 'mine', '1-$(C)-10.96.0.7']);
});

test('fields and resources become values; limits that are not set are those of the node', () => {
  const result = environment({
    resources: { limits: { memory: '64Mi' } },
    env: [
      { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }, { name: 'NODE', valueFrom: { fieldRef: { fieldPath: 'spec.nodeName' } } },
      { name: 'MEM', valueFrom: { resourceFieldRef: { resource: 'limits.memory', divisor: '1Mi' } } }, { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
    ],
  });
  assert.deepEqual(result, { IP: '172.16.0.2', NODE: 'w1-k8s', MEM: '64', CPU: '2' });
});

for (const [what, more, message] of [
  ['a missing ConfigMap', { envFrom: [{ configMapRef: { name: 'no' } }] }, 'configmap "no" not found'],
  ['a missing Secret', { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'no', key: 'k' } } }] }, 'secret "no" not found'],
  ['a missing key', { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'k' } } }] }, "couldn't find key k in ConfigMap default/cm"],
] as const) {
  test(`${what} is an error in upstream's words`, () => {
    assert.throws(() => environment(more as never), { name: 'ConfigurationError', message });
  });
}

test('what is optional may be missing', () => {
  assert.deepEqual(environment({ envFrom: [{ configMapRef: { name: 'no', optional: true } }], env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'no', key: 'k', optional: true } } }] }), {});
});

test('a service becomes variables as Docker links wrote them', () => {
  assert.deepEqual(Object.fromEntries(variablesOfService(service('my-web', 'default'))), {
    MY_WEB_SERVICE_HOST: '10.96.0.7', MY_WEB_SERVICE_PORT: '80', MY_WEB_SERVICE_PORT_HTTP: '80', MY_WEB_SERVICE_PORT_DNS: '53', MY_WEB_PORT: 'tcp://10.96.0.7:80',
    MY_WEB_PORT_80_TCP: 'tcp://10.96.0.7:80', MY_WEB_PORT_80_TCP_PROTO: 'tcp', MY_WEB_PORT_80_TCP_PORT: '80', MY_WEB_PORT_80_TCP_ADDR: '10.96.0.7',
    MY_WEB_PORT_53_UDP: 'udp://10.96.0.7:53', MY_WEB_PORT_53_UDP_PROTO: 'udp', MY_WEB_PORT_53_UDP_PORT: '53', MY_WEB_PORT_53_UDP_ADDR: '10.96.0.7',
  });
});

test('without service links only the API server is announced; headless services never are', () => {
  const all = [service('web', 'default'), service('other', 'elsewhere'), service('headless', 'default', 'None'), service('kubernetes', 'default', '10.96.0.1')];
  const hosts = (result: Record<string, string>): string[] => Object.keys(result).filter((name) => name.endsWith('_SERVICE_HOST')).sort();
  assert.deepEqual(hosts(environment({}, all)), ['KUBERNETES_SERVICE_HOST', 'WEB_SERVICE_HOST']);
  assert.deepEqual(hosts(environment({}, all, { enableServiceLinks: false })), ['KUBERNETES_SERVICE_HOST']);
});

test('all objects that a pod refers to are found', () => {
  const { configMaps: maps, secrets: keys } = referencesOf(pod({
    containers: [container('a', { envFrom: [{ configMapRef: { name: 'm1' } }], env: [{ name: 'x', valueFrom: { secretKeyRef: { name: 's1', key: 'k' } } }] })],
    volumes: [{ name: 'v', projected: { sources: [{ configMap: { name: 'm2' } }, { secret: { name: 's2' } }] } }, { name: 'w', secret: { secretName: 's3' } }],
    imagePullSecrets: [{ name: 's4' }],
  }));
  assert.deepEqual([[...maps].sort(), [...keys].sort()], [['m1', 'm2'], ['s1', 's2', 's3', 's4']]);
});
