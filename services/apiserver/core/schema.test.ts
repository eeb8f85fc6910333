import assert from 'node:assert/strict';
import { test } from 'node:test';
import { duplicateFields } from './duplicate-fields.ts';
import { decodeStructure, StructureError } from './schema.ts';

const POD = 'io.k8s.api.core.v1.Pod';
const DEPLOYMENT = 'io.k8s.api.apps.v1.Deployment';

test('unknown fields are dropped and reported with their index', () => {
  const { object, strictErrors } = decodeStructure({ metadata: { name: 'a' }, spec: { containers: [{ name: 'c', imag: 'x' }], foo: 1 } }, POD);
  assert.deepEqual(object, { metadata: { name: 'a' }, spec: { containers: [{ name: 'c' }] } });
  assert.deepEqual(strictErrors, ['unknown field "spec.containers[0].imag"', 'unknown field "spec.foo"']);
});

test('a wrong type is told in the words of encoding/json', () => {
  assert.throws(() => decodeStructure({ spec: { replicas: 'x' } }, DEPLOYMENT), new StructureError('json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32'));
  assert.throws(() => decodeStructure({ spec: { replicas: 1.5 } }, DEPLOYMENT), new StructureError('json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32'));
  assert.throws(() => decodeStructure({ spec: { containers: {} } }, POD), new StructureError('json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type []v1.Container'));
  assert.throws(() => decodeStructure({ spec: { containers: [{ name: 7 }] } }, POD), new StructureError('json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string'));
});

test('quantities and times are brought into their canonical form', () => {
  const { object } = decodeStructure({ metadata: { creationTimestamp: '2024-01-01T09:00:00+09:00' }, spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1000m', memory: '1024Mi' } } }] } }, POD);
  assert.deepEqual(object, { metadata: { creationTimestamp: '2024-01-01T00:00:00Z' }, spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1', memory: '1Gi' } } }] } });
});

test('null and empty collections count as absent, an empty struct does not', () => {
  const { object } = decodeStructure({ metadata: { labels: {}, annotations: null }, spec: { volumes: [{ name: 'v', emptyDir: {} }], tolerations: [] } }, POD);
  assert.deepEqual(object, { metadata: {}, spec: { volumes: [{ name: 'v', emptyDir: {} }] } });
});

test('a zero goes where Go cannot tell it from absence, and stays where it can', () => {
  const { object } = decodeStructure({
    spec: {
      hostNetwork: false, terminationGracePeriodSeconds: 0, nodeName: '', volumes: [{ name: 'v', hostPath: { path: '/', type: '' } }],
      containers: [{ name: 'c', stdin: false, env: [{ name: 'A', value: '' }], securityContext: { privileged: false, runAsUser: 0 } }],
    },
    status: { containerStatuses: [{ name: 'c', image: '', imageID: '', ready: false, restartCount: 0 }] },
  }, POD);
  assert.deepEqual(object, {
    spec: {
      terminationGracePeriodSeconds: 0, volumes: [{ name: 'v', hostPath: { path: '/', type: '' } }],
      containers: [{ name: 'c', env: [{ name: 'A' }], securityContext: { privileged: false, runAsUser: 0 } }],
    },
    status: { containerStatuses: [{ name: 'c', image: '', imageID: '', ready: false, restartCount: 0 }] },
  });
});

test('keys that occur twice are found at any depth', () => {
  assert.deepEqual(duplicateFields('{"a":1,"spec":{"replicas":1,"replicas":2,"l":[{"x":"}\\"","x":[]}]}}'), ['duplicate field "spec.replicas"', 'duplicate field "spec.l[0].x"']);
  assert.deepEqual(duplicateFields('{"a":{"b":1},"c":{"b":1}}'), []);
});
