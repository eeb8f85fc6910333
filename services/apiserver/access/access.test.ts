// Access from end to end, over objects in memory: who is it, may they, and the kinds that ask about it.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { beforeEach, test } from 'node:test';
import { podKind } from '#lib/kinds/core/pod.ts';
import { secretKind } from '#lib/kinds/core/secret.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import { anyKind, type KubernetesObject } from '#lib/kinds/define-kind.ts';
import { clusterRoleBindingKind } from '#lib/kinds/rbac/cluster-role-binding.ts';
import { clusterRoleKind } from '#lib/kinds/rbac/cluster-role.ts';
import { roleBindingKind } from '#lib/kinds/rbac/role-binding.ts';
import { roleKind } from '#lib/kinds/rbac/role.ts';
import type { TokenRequest, TokenReview } from '#lib/kinds/types/authentication-v1.ts';
import type { PolicyRule } from '#lib/kinds/types/rbac-v1.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { createCertificateAuthority, createSigningKeyPair, issueCertificate } from '#lib/pki/certificate.ts';
import type { AuthenticationRequest, AuthorizationAttributes, User } from '../core/access.ts';
import { parseRequestInfo } from '../core/request-info.ts';
import { createAccess, type Access } from './access.ts';
import { MemoryObjects } from './memory-objects.ts';

const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const ca = await createCertificateAuthority({ commonName: 'kubernetes', nowMs: Date.now() });
const proxyCa = await createCertificateAuthority({ commonName: 'front-proxy-ca', nowMs: Date.now() });
const signing = await createSigningKeyPair();
let nowMs: number;
let objects: MemoryObjects;
let access: Access;

beforeEach(() => {
  nowMs = Date.now();
  objects = new MemoryObjects();
  access = createAccess({
    objects, nowMs: () => nowMs, clientCaPem: ca.certPem, requestHeaderCaPem: proxyCa.certPem, requestHeaderAllowedNames: ['front-proxy-client'],
    serviceAccountKeyPems: [signing.publicKeyPem], serviceAccountSigningKeyPem: signing.privateKeyPem, serviceAccountIssuers: [ISSUER],
    authorizationModes: ['Node', 'RBAC'], enableBootstrapTokenAuth: true, kubeletClientCertPem: '', kubeletClientKeyPem: '', kubeletCaPem: '', kubeletPreferredAddressTypes: ['InternalIP'], fraction: () => 0,
  });
});

function request(headers: AuthenticationRequest['headers'], certPem?: string): AuthenticationRequest {
  return { headers, remoteAddress: '10.0.0.1', connection: {}, clientCertificates: () => (certPem === undefined ? [] : [new X509Certificate(certPem).raw]) };
}
const attributes = (user: User, over: Partial<AuthorizationAttributes>): AuthorizationAttributes => ({
  user, verb: 'get', isResourceRequest: true, apiGroup: '', apiVersion: 'v1', resource: 'pods', subresource: '', namespace: 'default', name: '', path: '', ...over,
});
const may = async (user: User, over: Partial<AuthorizationAttributes>) => (await access.authorizer.authorize(attributes(user, over))).allowed;
const jane: User = { name: 'jane', groups: ['dev', 'system:authenticated'] };
const clientCertificate = (commonName: string, organizations: string[] = []) => issueCertificate({ ca, commonName, organizations, usages: ['client'], nowMs });

function grant(name: string, rules: PolicyRule[], subject: { kind: string; name: string; namespace?: string }): void {
  objects.put(clusterRoleKind, { metadata: { name }, rules });
  objects.put(clusterRoleBindingKind, { metadata: { name }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }, subjects: [subject] });
}

async function call<T extends KubernetesObject>(path: string, user: User, body: unknown): Promise<T> {
  const info = parseRequestInfo('POST', path, new URLSearchParams());
  const handler = access.extension.objectHandlers?.find((one) => one.resource === info.resource && one.subresource === info.subresource && one.group === info.apiGroup);
  assert.ok(handler, path);
  return await handler.handle({ info, user, query: new URLSearchParams(), objects, signal: new AbortController().signal }, body as KubernetesObject) as T;
}

test('a client certificate names its user and groups, until it expires', async () => {
  const { certPem } = await clientCertificate('jane', ['dev', 'ops']);
  assert.deepEqual(await access.authenticator.authenticate(request({}, certPem)), { name: 'jane', groups: ['dev', 'ops', 'system:authenticated'] });
  nowMs += 366 * 86_400_000;
  await assert.rejects(access.authenticator.authenticate(request({}, certPem)), (error: StatusError) => error.code === 401 && error.message === 'Unauthorized');
});

test('a certificate of another authority, or for servers only, is refused and does not become anonymous', async () => {
  const stranger = await issueCertificate({ ca: await createCertificateAuthority({ commonName: 'kubernetes', nowMs }), commonName: 'jane', usages: ['client'], nowMs });
  await assert.rejects(access.authenticator.authenticate(request({}, stranger.certPem)), StatusError);
  const server = await issueCertificate({ ca, commonName: 'jane', usages: ['server'], nowMs });
  await assert.rejects(access.authenticator.authenticate(request({}, server.certPem)), StatusError);
});

test('who brings nothing is anonymous, and a bad token is 401', async () => {
  assert.deepEqual(await access.authenticator.authenticate(request({})), { name: 'system:anonymous', groups: ['system:unauthenticated'] });
  await assert.rejects(access.authenticator.authenticate(request({ authorization: 'Bearer nonsense' })), StatusError);
});

test('the front proxy may speak for others, another certificate of its authority may not', async () => {
  const headers = { 'x-remote-user': 'jane', 'x-remote-group': 'dev, ops', 'x-remote-extra-scopes': 'a' };
  const proxy = await issueCertificate({ ca: proxyCa, commonName: 'front-proxy-client', usages: ['client'], nowMs });
  assert.deepEqual(await access.authenticator.authenticate(request(headers, proxy.certPem)),
    { name: 'jane', groups: ['dev', 'ops', 'system:authenticated'], extra: { scopes: ['a'] } });
  const other = await issueCertificate({ ca: proxyCa, commonName: 'other', usages: ['client'], nowMs });
  await assert.rejects(access.authenticator.authenticate(request(headers, other.certPem)), StatusError);
  const plain = await clientCertificate('mallory');
  assert.equal((await access.authenticator.authenticate(request(headers, plain.certPem)))?.name, 'mallory');
});

test('a token is issued for a pod, names it, and ends with it', async () => {
  objects.put(serviceAccountKind, { metadata: { name: 'web', namespace: 'default', uid: 'sa-1' } });
  objects.put(podKind, { metadata: { name: 'p', namespace: 'default', uid: 'pod-1' }, spec: { serviceAccountName: 'web', nodeName: 'w1', containers: [] } });
  const issued = await call<TokenRequest>('/api/v1/namespaces/default/serviceaccounts/web/token', jane, {
    metadata: {}, spec: { expirationSeconds: 3607, boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'pod-1' } },
  });
  const token = issued.status?.token ?? '';
  assert.ok(Math.abs(Date.parse(issued.status?.expirationTimestamp ?? '') - nowMs - 3_607_000) < 2000);
  const user = await access.authenticator.authenticate(request({ authorization: `Bearer ${token}` }));
  assert.equal(user?.name, 'system:serviceaccount:default:web');
  assert.deepEqual(user?.groups, ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated']);
  assert.deepEqual(user?.extra?.['authentication.kubernetes.io/pod-name'], ['p']);
  const review = await call<TokenReview>('/apis/authentication.k8s.io/v1/tokenreviews', jane, { metadata: {}, spec: { token } });
  assert.equal(review.status?.authenticated, true);
  assert.deepEqual(review.status?.audiences, [ISSUER]);
  const elsewhere = await call<TokenReview>('/apis/authentication.k8s.io/v1/tokenreviews', jane, { metadata: {}, spec: { token, audiences: ['vault'] } });
  assert.equal(elsewhere.status?.authenticated, undefined);

  nowMs += 7200_000; // tokens of the default volume live on for a year
  assert.ok(await access.authenticator.authenticate(request({ authorization: `Bearer ${token}` })));
  objects.remove(podKind, 'default', 'p');
  await assert.rejects(access.authenticator.authenticate(request({ authorization: `Bearer ${token}` })), StatusError);
});

test('a token expires, and ends with its account', async () => {
  objects.put(serviceAccountKind, { metadata: { name: 'web', namespace: 'default', uid: 'sa-1' } });
  const ask = () => call<TokenRequest>('/api/v1/namespaces/default/serviceaccounts/web/token', jane, { metadata: {}, spec: { expirationSeconds: 600 } });
  const token = (await ask()).status?.token ?? '';
  const authenticate = () => access.authenticator.authenticate(request({ authorization: `Bearer ${token}` }));
  assert.ok(await authenticate());
  objects.put(serviceAccountKind, { metadata: { name: 'web', namespace: 'default', uid: 'sa-2' } });
  await assert.rejects(authenticate(), StatusError);
  objects.put(serviceAccountKind, { metadata: { name: 'web', namespace: 'default', uid: 'sa-1' } });
  nowMs += 662_000;
  await assert.rejects(authenticate(), StatusError);
  await assert.rejects(call('/api/v1/namespaces/default/serviceaccounts/web/token', jane, { metadata: {}, spec: { expirationSeconds: 10 } }),
    /TokenRequest\.authentication\.k8s\.io "" is invalid: spec\.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes/);
});

test('a bootstrap token lets a node join until it expires', async () => {
  const encode = (text: string) => Buffer.from(text).toString('base64');
  objects.put(secretKind, {
    metadata: { name: 'bootstrap-token-abcdef', namespace: 'kube-system' }, type: 'bootstrap.kubernetes.io/token',
    data: {
      'token-id': encode('abcdef'), 'token-secret': encode('0123456789abcdef'), 'usage-bootstrap-authentication': encode('true'),
      'auth-extra-groups': encode('system:bootstrappers:kubeadm:default-node-token'), expiration: encode(new Date(nowMs + 60_000).toISOString()),
    },
  });
  const authenticate = (token: string) => access.authenticator.authenticate(request({ authorization: `Bearer ${token}` }));
  assert.deepEqual(await authenticate('abcdef.0123456789abcdef'), {
    name: 'system:bootstrap:abcdef', groups: ['system:bootstrappers', 'system:bootstrappers:kubeadm:default-node-token', 'system:authenticated'],
  });
  await assert.rejects(authenticate('abcdef.0123456789abcdee'), StatusError);
  nowMs += 61_000;
  await assert.rejects(authenticate('abcdef.0123456789abcdef'), StatusError);
});

test('RBAC follows bindings as they come and go', async () => {
  assert.equal(await may(jane, { verb: 'list' }), false);
  grant('reader', [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list'] }], { kind: 'Group', name: 'dev' });
  assert.equal(await may(jane, { verb: 'list' }), true);
  assert.equal(await may(jane, { verb: 'delete' }), false);
  assert.equal(await may(jane, { verb: 'list', namespace: '' }), true);
  assert.equal(await may(jane, { subresource: 'log' }), false);
  objects.put(clusterRoleBindingKind, { metadata: { name: 'reader' }, roleRef: { kind: 'ClusterRole', name: 'reader' }, subjects: [{ kind: 'User', name: 'joe' }] });
  assert.equal(await may(jane, { verb: 'list' }), false);
  assert.equal(await may({ name: 'joe', groups: [] }, { verb: 'list' }), true);
  objects.remove(clusterRoleBindingKind, '', 'reader');
  assert.equal(await may({ name: 'joe', groups: [] }, { verb: 'list' }), false);
});

test('a role binding holds in its namespace, for service accounts of any', async () => {
  objects.put(roleKind, { metadata: { name: 'r', namespace: 'a' }, rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: ['c'], verbs: ['*'] }] });
  objects.put(roleBindingKind, {
    metadata: { name: 'r', namespace: 'a' }, roleRef: { kind: 'Role', name: 'r' }, subjects: [{ kind: 'ServiceAccount', name: 'web', namespace: 'b' }],
  });
  const account: User = { name: 'system:serviceaccount:b:web', groups: [] };
  assert.equal(await may(account, { namespace: 'a', resource: 'configmaps', name: 'c' }), true);
  assert.equal(await may(account, { namespace: 'a', resource: 'configmaps', name: 'd' }), false);
  assert.equal(await may(account, { namespace: 'b', resource: 'configmaps', name: 'c' }), false);
});

test('a binding to a role that does not exist is named in the refusal', async () => {
  objects.put(clusterRoleBindingKind, { metadata: { name: 'x' }, roleRef: { kind: 'ClusterRole', name: 'gone' }, subjects: [{ kind: 'User', name: 'jane' }] });
  assert.deepEqual(await access.authorizer.authorize(attributes(jane, {})),
    { allowed: false, reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found' });
});

test('paths that are no resources match by rule, with a star at the end', async () => {
  grant('public', [{ nonResourceURLs: ['/healthz', '/livez/*'], verbs: ['get'] }], { kind: 'Group', name: 'system:unauthenticated' });
  const anonymous: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
  const path = (text: string) => may(anonymous, { isResourceRequest: false, path: text });
  assert.deepEqual([await path('/healthz'), await path('/livez/ping'), await path('/metrics')], [true, true, false]);
});

test('a node reads what its pods refer to, and no more', async () => {
  const node: User = { name: 'system:node:w1', groups: ['system:nodes', 'system:authenticated'] };
  objects.put(podKind, {
    metadata: { name: 'p', namespace: 'default' },
    spec: { nodeName: 'w1', serviceAccountName: 'web', containers: [{ name: 'c', env: [{ name: 'E', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }] },
  });
  assert.equal(await may(node, { resource: 'secrets', name: 's' }), true);
  assert.equal(await may({ ...node, name: 'system:node:w2' }, { resource: 'secrets', name: 's' }), false);
  assert.equal(await may(node, { resource: 'secrets', name: 'other' }), false);
  assert.equal(await may(node, { resource: 'serviceaccounts', subresource: 'token', verb: 'create', name: 'web' }), true);
  assert.equal(await may(node, { verb: 'list', namespace: '', fieldSelector: 'spec.nodeName=w1' }), true);
  assert.equal(await may(node, { verb: 'list', namespace: '', fieldSelector: 'spec.nodeName=w2' }), false);
  assert.equal(await may(node, { resource: 'nodes', namespace: '', name: 'w2' }), false);
  assert.equal(await may(node, { resource: 'leases', apiGroup: 'coordination.k8s.io', namespace: 'kube-node-lease', verb: 'update', name: 'w1' }), true);
  objects.remove(podKind, 'default', 'p');
  assert.deepEqual(await access.authorizer.authorize(attributes(node, { resource: 'secrets', name: 's' })),
    { allowed: false, reason: `no relationship found between node 'w1' and this object` });
});

test('nobody grants by RBAC what they do not hold', async () => {
  grant('rbac-admin', [
    { apiGroups: ['rbac.authorization.k8s.io'], resources: ['*'], verbs: ['create', 'update'] }, { apiGroups: [''], resources: ['pods'], verbs: ['get'] },
  ], { kind: 'User', name: 'jane' });
  const check = async (plural: 'clusterroles' | 'clusterrolebindings', object: KubernetesObject) => {
    const kind = plural === 'clusterroles' ? anyKind(clusterRoleKind) : anyKind(clusterRoleBindingKind);
    await access.escalationPlugin.validate?.({ operation: 'CREATE', kind, subresource: '', namespace: '', name: object.metadata.name, object, user: jane });
  };
  const role = (verbs: string[]) => ({ metadata: { name: 'new' }, rules: [{ apiGroups: [''], resources: ['pods'], verbs }] });
  await check('clusterroles', role(['get']));
  await assert.rejects(check('clusterroles', role(['get', 'delete', 'list'])), {
    message: 'clusterroles.rbac.authorization.k8s.io "new" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n'
      + '{APIGroups:[""], Resources:["pods"], Verbs:["delete" "list"]}',
  });
  objects.put(clusterRoleKind, { metadata: { name: 'all' }, rules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }] });
  const binding = { metadata: { name: 'b' }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'all' }, subjects: [{ kind: 'User', name: 'jane' }] };
  await assert.rejects(check('clusterrolebindings', binding), StatusError);
  grant('may-bind', [{ apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'], resourceNames: ['all'], verbs: ['bind'] }], { kind: 'User', name: 'jane' });
  await check('clusterrolebindings', binding);
});

test('impersonation needs the verb impersonate', async () => {
  const headers = { 'impersonate-user': 'joe', 'impersonate-group': 'ops' };
  await assert.rejects(access.impersonator.impersonate(jane, request(headers)),
    { message: 'users "joe" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope' });
  grant('sudo', [{ apiGroups: [''], resources: ['users', 'groups', 'serviceaccounts'], verbs: ['impersonate'] }], { kind: 'User', name: 'jane' });
  assert.deepEqual(await access.impersonator.impersonate(jane, request(headers)), { name: 'joe', groups: ['ops', 'system:authenticated'] });
  assert.deepEqual(await access.impersonator.impersonate(jane, request({ 'impersonate-user': 'system:serviceaccount:a:b' })),
    { name: 'system:serviceaccount:a:b', groups: ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'] });
  assert.equal(await access.impersonator.impersonate(jane, request({})), jane);
});

test('access reviews answer as the authorizer would', async () => {
  grant('reader', [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }], { kind: 'User', name: 'jane' });
  const spec = { resourceAttributes: { namespace: 'default', verb: 'list', resource: 'pods' } };
  const own = await call('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', jane, { metadata: {}, spec });
  assert.deepEqual(own, { metadata: {}, spec, status: { allowed: true, reason: 'RBAC: allowed by ClusterRoleBinding "reader" of ClusterRole "reader" to User "jane"' } });
  const other = await call<KubernetesObject & { status: { allowed: boolean } }>('/apis/authorization.k8s.io/v1/subjectaccessreviews', jane, { metadata: {}, spec: { ...spec, user: 'joe' } });
  assert.deepEqual(other.status, { allowed: false });
  await assert.rejects(call('/apis/authorization.k8s.io/v1/subjectaccessreviews', jane, { metadata: {}, spec }), /at least one of user or group must be specified/);
  const rules = await call<KubernetesObject & { status: object }>('/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', jane, { metadata: {}, spec: { namespace: 'default' } });
  assert.deepEqual(JSON.parse(JSON.stringify(rules.status)), { resourceRules: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }], nonResourceRules: [], incomplete: false });
});
