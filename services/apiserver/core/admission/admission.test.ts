import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { LimitRange, Pod, PodSpec, ResourceQuota } from '#lib/kinds/types/core-v1.ts';
import { formatQuantity } from '#lib/machinery/quantity.ts';
import { usageOf } from '#lib/quota/usage.ts';
import { csrOrganizations } from './csr-subject.ts';
import { claimProblems, completePod, podProblems } from './limit-ranger.ts';
import { violations } from './pod-security/checks.ts';
import { detailOf, existingPodWarnings, policyOf } from './pod-security/pod-security.ts';
import { charged, missingResources } from './resource-quota.ts';
import { applyRuntimeClass } from './runtime-class.ts';

const podOf = (spec: Partial<PodSpec>): Pod => ({ metadata: { name: 'p', namespace: 'n' }, spec: { containers: [{ name: 'c', image: 'x' }], ...spec } });
const rangeOf = (...limits: LimitRange['spec']['limits']): LimitRange => ({ metadata: { name: 'r' }, spec: { limits } });

test('LimitRanger completes what containers leave out, and says so in an annotation', () => {
  const pod = podOf({ initContainers: [{ name: 'i', image: 'x', resources: { requests: { cpu: '1' } } }] });
  completePod(pod, rangeOf({ type: 'Container', default: { cpu: '500m', memory: '1Gi' }, defaultRequest: { cpu: '100m' } }));
  assert.deepEqual(pod.spec.containers[0]?.resources, { requests: { cpu: '100m' }, limits: { cpu: '500m', memory: '1Gi' } });
  assert.deepEqual(pod.spec.initContainers?.[0]?.resources, { requests: { cpu: '1' }, limits: { cpu: '500m', memory: '1Gi' } });
  assert.equal(pod.metadata.annotations?.['kubernetes.io/limit-ranger'],
    'LimitRanger plugin set: cpu request for container c; cpu, memory limit for container c; cpu, memory limit for init container i');
});

test('LimitRanger refuses in upstream\'s words', () => {
  const pod = podOf({ containers: [{ name: 'c', resources: { requests: { cpu: '50m' }, limits: { cpu: '2' } } }] });
  assert.deepEqual(podProblems(pod, rangeOf({ type: 'Container', min: { cpu: '100m', memory: '1Mi' }, max: { cpu: '1', memory: '1Gi' }, maxLimitRequestRatio: { cpu: '2' } })), [
    'minimum cpu usage per Container is 100m, but request is 50m', 'minimum memory usage per Container is 1Mi.  No request is specified',
    'maximum cpu usage per Container is 1, but limit is 2', 'maximum memory usage per Container is 1Gi.  No limit is specified',
    'cpu max limit to request ratio per Container is 2, but provided ratio is 40.000000',
  ]);
  const two = podOf({ containers: [{ name: 'a', resources: { limits: { cpu: '1' } } }, { name: 'b', resources: { limits: { cpu: '1500m' } } }] });
  assert.deepEqual(podProblems(two, rangeOf({ type: 'Pod', max: { cpu: '2' } })), ['maximum cpu usage per Pod is 2, but limit is 2500m']);
  const claim = { metadata: { name: 'c' }, spec: { resources: { requests: { storage: '5Gi' } } } };
  assert.deepEqual(claimProblems(claim, rangeOf({ type: 'PersistentVolumeClaim', max: { storage: '2Gi' }, min: { storage: '1Gi' } })), ['maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi']);
});

test('a pod costs the sum of its containers or the peak of its init containers, and nothing when it is over', () => {
  const pod = podOf({
    containers: [{ name: 'a', resources: { requests: { cpu: '100m' }, limits: { memory: '1Gi' } } }, { name: 'b', resources: { requests: { cpu: '200m', 'example.com/gpu': '1' } } }],
    initContainers: [{ name: 'side', restartPolicy: 'Always', resources: { requests: { cpu: '50m' } } }, { name: 'i', resources: { requests: { cpu: '1' } } }],
  });
  const usage = usageOf({ group: '', plural: 'pods' }, pod, 0);
  assert.deepEqual(Object.fromEntries([...usage].map(([name, amount]) => [name, formatQuantity(amount)])), {
    'count/pods': '1', pods: '1', cpu: '1050m', 'requests.cpu': '1050m', 'limits.memory': '1Gi', 'requests.example.com/gpu': '1',
  });
  assert.deepEqual([...usageOf({ group: '', plural: 'pods' }, { ...pod, status: { phase: 'Succeeded' } } as Pod, 0).keys()], ['count/pods']);
  assert.equal(missingResources({ group: '', plural: 'pods' }, pod, ['requests.memory', 'limits.cpu', 'pods']), 'must specify limits.cpu for: a,b,i,side; requests.memory for: a,b,i,side');
});

test('a quota that would be passed is told with what was asked for, used and allowed', () => {
  const quota: ResourceQuota = { metadata: { name: 'q' }, spec: {}, status: { hard: { pods: '2', 'requests.cpu': '1' }, used: { pods: '2', 'requests.cpu': '500m' } } };
  const delta = usageOf({ group: '', plural: 'pods' }, podOf({ containers: [{ name: 'c', resources: { requests: { cpu: '600m' } } }] }), 0);
  assert.deepEqual(charged(quota, delta), { refused: 'exceeded quota: q, requested: pods=1,requests.cpu=600m, used: pods=2,requests.cpu=500m, limited: pods=2,requests.cpu=1' });
  const free = charged({ ...quota, status: { ...quota.status, hard: { pods: '3', 'requests.cpu': '2' } } }, delta);
  assert.deepEqual('next' in free && free.next.status?.used, { pods: '3', 'requests.cpu': '1100m' });
});

test('PodSecurity tells what a plain pod lacks for restricted, in upstream\'s words', () => {
  assert.equal(detailOf(violations('restricted', podOf({}))),
    'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), '
    + 'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), '
    + 'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), '
    + 'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")');
  assert.deepEqual(violations('baseline', podOf({})), []);
  const good = podOf({
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
    containers: [{ name: 'c', securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } } }], volumes: [{ name: 'v', emptyDir: {} }],
  });
  assert.deepEqual(violations('restricted', good), []);
});

test('PodSecurity names every baseline failing with its containers', () => {
  const pod = podOf({
    hostNetwork: true, hostPID: true, volumes: [{ name: 'v', hostPath: { path: '/' } }],
    containers: [
      { name: 'a', ports: [{ containerPort: 80, hostPort: 80 }], securityContext: { privileged: true, capabilities: { add: ['SYS_ADMIN'] } } },
      { name: 'b', securityContext: { privileged: true, seccompProfile: { type: 'Unconfined' } } },
    ],
  });
  assert.equal(detailOf(violations('baseline', pod)),
    'non-default capabilities (container "a" must not include "SYS_ADMIN" in securityContext.capabilities.add), host namespaces (hostNetwork=true, hostPID=true), '
    + 'hostPath volumes (volume "v"), hostPort (container "a" uses hostPort 80), privileged (containers "a", "b" must not set securityContext.privileged=true), '
    + 'seccompProfile (container "b" must not set securityContext.seccompProfile.type to "Unconfined")');
  assert.deepEqual(existingPodWarnings([pod, { ...pod, metadata: { name: 'o' } }], 'n', { level: 'baseline', version: 'latest' }), [
    'existing pods in namespace "n" violate the new PodSecurity enforce level "baseline:latest"',
    'o (and 1 other pod): non-default capabilities, host namespaces, hostPath volumes, hostPort, privileged, seccompProfile',
  ]);
});

test('labels of a namespace become a policy; bad ones are refused', () => {
  const { policy, errors } = policyOf({ 'pod-security.kubernetes.io/enforce': 'baseline', 'pod-security.kubernetes.io/enforce-version': 'v1.30' });
  assert.deepEqual([policy.enforce, policy.warn, policy.audit.level, errors], [{ level: 'baseline', version: 'v1.30' }, { level: 'baseline', version: 'v1.30' }, 'privileged', []]);
  assert.deepEqual(policyOf({ 'pod-security.kubernetes.io/enforce': 'x', 'pod-security.kubernetes.io/warn-version': '2' }).errors.map(({ field, body }) => `${field}: ${body}`), [
    'metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "x": must be one of privileged, baseline, restricted',
    'metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: "2": must be "latest" or "v1.x"',
  ]);
});

test('a runtime class gives its pods overhead, selector and tolerations, and refuses a contradiction', () => {
  const runtimeClass = { metadata: { name: 'r' }, handler: 'h', overhead: { podFixed: { cpu: '100m' } }, scheduling: { nodeSelector: { kind: 'vm' }, tolerations: [{ key: 'vm', operator: 'Exists' }] } };
  const pod = podOf({});
  assert.equal(applyRuntimeClass(pod, runtimeClass), undefined);
  assert.deepEqual([pod.spec.overhead, pod.spec.nodeSelector, pod.spec.tolerations], [{ cpu: '100m' }, { kind: 'vm' }, [{ key: 'vm', operator: 'Exists' }]]);
  assert.match(applyRuntimeClass(podOf({ nodeSelector: { kind: 'x' } }), runtimeClass) ?? '', /^conflict: runtimeClass.scheduling.nodeSelector\[kind\] = vm; pod.spec.nodeSelector\[kind\] = x$/);
});

test('the organizations of a certificate request are read from its DER, and garbage is none', () => {
  const folder = mkdtempSync(join(tmpdir(), 'csr-'));
  try {
    execFileSync('openssl', ['req', '-new', '-newkey', 'rsa:2048', '-nodes', '-keyout', join(folder, 'k'), '-out', join(folder, 'r'), '-subj', '/O=dev/O=system:masters/CN=me'], { stdio: 'ignore' });
    assert.deepEqual(csrOrganizations(readFileSync(join(folder, 'r')).toString('base64')), ['dev', 'system:masters']);
  } finally {
    rmSync(folder, { recursive: true });
  }
  const pem = (der: string) => Buffer.from(`-----BEGIN CERTIFICATE REQUEST-----\n${der}\n-----END CERTIFICATE REQUEST-----`).toString('base64');
  for (const bad of ['', '!!', 'AAAA', pem('MIIBAAAA'), pem('MAMCAQA='), pem('A')]) assert.equal(csrOrganizations(bad), undefined);
});
