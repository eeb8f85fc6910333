// The typed `kubectl create` commands, whose bodies are protobuf since 1.32, and objects of the kinds that come by YAML.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { allKinds } from '#lib/kinds/registry.ts';
import { startTestServer, type TestServer } from '../edge/testing/test-server.ts';
import { openApiExtension } from '../openapi/routes.ts';
import { protobufBodyDecoder } from './body-decoder.ts';

const skip = spawnSync('kubectl', ['version', '--client']).status === 0 ? false : 'kubectl is not installed';
let server: TestServer;
let home: string;

before(async () => {
  server = await startTestServer({ extensions: [openApiExtension({ kinds: allKinds, version: 'v1.36.2' }), { bodyDecoders: [protobufBodyDecoder()] }] });
  await server.app.listen({ host: '127.0.0.1', port: 0 });
  home = mkdtempSync(join(tmpdir(), 'kubectl-create-'));
});
after(async () => {
  await server.close();
  rmSync(home, { recursive: true, force: true });
});

function kubectl(args: readonly string[], input = ''): Promise<string> {
  const child = spawn('kubectl', ['--server', `http://127.0.0.1:${(server.app.server.address() as AddressInfo).port}`, ...args], { env: { PATH: process.env['PATH'], HOME: home, KUBECONFIG: '/dev/null' } });
  let out = '';
  child.stdout.on('data', (data: Buffer) => { out += data.toString(); });
  child.stderr.on('data', (data: Buffer) => { out += data.toString(); });
  child.stdin.on('error', () => undefined).end(input); // it may end before it has read
  return new Promise((resolve) => child.once('close', () => resolve(out)));
}

for (const [command, expected] of [
  ['create deployment d --image=nginx --replicas=2 --port=80', 'deployment.apps/d created\n'],
  ['create job j --image=busybox -- true', 'job.batch/j created\n'],
  ['create cronjob cj --image=busybox --schedule=@hourly -- true', 'cronjob.batch/cj created\n'],
  ['create cronjob bad --image=busybox --schedule=x -- true', 'error: failed to create cronjob: CronJob.batch "bad" is invalid: spec.schedule: Invalid value: "x": expected exactly 5 fields, found 1: [x]\n'],
  ['create ingress i --rule=example.com/*=web:80,tls=cert --default-backend=web:http', 'ingress.networking.k8s.io/i created\n'],
  ['create quota q --hard=pods=10,requests.cpu=2 --scopes=NotTerminating', 'resourcequota/q created\n'],
  ['create pdb p --selector=a=b --max-unavailable=1', 'poddisruptionbudget.policy/p created\n'],
  ['create priorityclass pc --value=5 --description=x', 'priorityclass.scheduling.k8s.io/pc created\n'],
  ['create configmap cm --from-literal=a=b', 'configmap/cm created\n'],
  ['create secret generic s --from-literal=a=b', 'secret/s created\n'],
  ['create serviceaccount sa', 'serviceaccount/sa created\n'],
  ['create role r --verb=get --resource=pods', 'role.rbac.authorization.k8s.io/r created\n'],
  ['create clusterrole cr --verb=get --non-resource-url=/healthz', 'clusterrole.rbac.authorization.k8s.io/cr created\n'],
  ['create rolebinding rb --role=r --serviceaccount=default:sa', 'rolebinding.rbac.authorization.k8s.io/rb created\n'],
  ['create clusterrolebinding crb --clusterrole=cr --user=u --group=g', 'clusterrolebinding.rbac.authorization.k8s.io/crb created\n'],
  ['create service clusterip c --tcp=80:8080', 'service/c created\n'],
  ['create service externalname e --external-name=a.example.com', 'service/e created\n'],
  ['create namespace n', 'namespace/n created\n'],
  ['autoscale deployment d --min=1 --max=3 --cpu-percent=50', 'horizontalpodautoscaler.autoscaling/d autoscaled\n'],
] as const) {
  test(`kubectl ${command}`, { skip }, async () => assert.equal(await kubectl(command.split(' ')), expected));
}

const OBJECTS = `---
{apiVersion: v1, kind: ReplicationController, metadata: {name: rc}, spec: {template: {metadata: {labels: {app: rc}}, spec: {containers: [{name: c, image: nginx}]}}}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: np}, spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80, protocol: TCP}]}]}}
---
{apiVersion: v1, kind: LimitRange, metadata: {name: lr}, spec: {limits: [{type: Container, max: {cpu: "2"}, default: {cpu: "2"}, defaultRequest: {cpu: "2"}}]}}
---
{apiVersion: v1, kind: PersistentVolume, metadata: {name: pv}, spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /tmp/pv}}}
---
{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: pvc}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
---
{apiVersion: autoscaling/v1, kind: HorizontalPodAutoscaler, metadata: {name: h}, spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: d}, targetCPUUtilizationPercentage: 70}}
---
{apiVersion: storage.k8s.io/v1, kind: StorageClass, metadata: {name: sc}, provisioner: example.com/x}
---
{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: d.example.com}, spec: {}}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: r}, handler: runc}
---
{apiVersion: networking.k8s.io/v1, kind: IngressClass, metadata: {name: ic}, spec: {controller: example.com/x}}
`;

test('the other kinds come by YAML, twice the same', { skip }, async () => {
  const created = await kubectl(['apply', '-f', '-'], OBJECTS);
  assert.equal(created.split('\n').filter((line) => line.endsWith(' created')).length, 10, created);
  const again = await kubectl(['apply', '-f', '-'], OBJECTS);
  assert.equal(again.split('\n').filter((line) => line.endsWith(' unchanged')).length, 10, again);
  assert.match(await kubectl(['get', 'rc,netpol,pv,pvc,hpa,sc,csidriver,ingressclass']), /persistentvolume\/pv +1Gi +RWO +Retain +Pending/);
});
test('both versions of an autoscaler show the same object', { skip }, async () => {
  assert.equal(await kubectl(['get', 'hpa.v2.autoscaling', 'h', '-o', 'jsonpath={.spec.metrics[0].resource.target}']), '{"averageUtilization":70,"type":"Utilization"}');
  assert.match(await kubectl(['get', '--raw', '/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/h']), /"targetCPUUtilizationPercentage":70/);
});
test('a ReplicationController scales', { skip }, async () => {
  assert.equal(await kubectl(['scale', 'rc/rc', '--replicas=2']), 'replicationcontroller/rc scaled\n');
  assert.equal(await kubectl(['get', 'rc', 'rc', '-o', 'jsonpath={.spec.replicas}']), '2');
});
