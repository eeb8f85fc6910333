import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NetworkPolicy, NetworkPolicySpec } from '#lib/kinds/types/networking-v1.ts';
import { policyPod, rulesOfNode, type PolicyPod } from './network-policy.ts';
import { policyRules } from './policy-rules.ts';

const pod = (name: string, address: string, labels: Record<string, string>, more: Partial<PolicyPod> = {}): PolicyPod =>
  ({ namespace: 'shop', name, node: 'w1-k8s', labels, address, ports: [], ...more });
const web = pod('web', '172.16.0.2', { app: 'web' }, { ports: [{ name: 'http', protocol: 'TCP', port: 8080 }] });
const database = pod('db', '172.16.0.3', { app: 'db' });
const monitor = pod('prometheus', '172.16.9.9', { app: 'monitor' }, { namespace: 'monitoring', node: 'w2-k8s' });
const namespaces = [{ name: 'shop', labels: {} }, { name: 'monitoring', labels: { team: 'ops' } }];
const policy = (spec: NetworkPolicySpec): NetworkPolicy => ({ metadata: { name: 'p', namespace: 'shop' }, spec });
const rules = (...specs: NetworkPolicySpec[]) => rulesOfNode({ policies: specs.map(policy), pods: [web, database, monitor], namespaces }, 'w1-k8s');

test('no policy, no rules; a pod that no policy selects is not isolated', () => {
  assert.deepEqual(rules(), []);
  assert.deepEqual(rules({ podSelector: { matchLabels: { app: 'nobody' } } }), []);
});

test('an empty selector with no rules is deny all, for ingress unless policyTypes say otherwise', () => {
  assert.deepEqual(rules({ podSelector: {} }).map(({ pod: { name }, ingress, egress }) => [name, ingress, egress]), [['db', [], undefined], ['web', [], undefined]]);
  assert.deepEqual(rules({ podSelector: {}, policyTypes: ['Egress'] }).map(({ ingress, egress }) => [ingress, egress]), [[undefined, []], [undefined, []]]);
});

test('peers: pods of the same namespace, of namespaces by label, of both together, and networks with holes', () => {
  const allowed = (from: NonNullable<NonNullable<NetworkPolicySpec['ingress']>[0]['from']>) => rules({ podSelector: { matchLabels: { app: 'db' } }, ingress: [{ from }] })[0]?.ingress?.[0]?.peers;
  assert.deepEqual(allowed([{ podSelector: { matchLabels: { app: 'web' } } }]), { addresses: ['172.16.0.2'], networks: [] });
  assert.deepEqual(allowed([{ namespaceSelector: { matchLabels: { team: 'ops' } } }])?.addresses, ['172.16.9.9']);
  assert.deepEqual(allowed([{ namespaceSelector: {} }])?.addresses, ['172.16.0.2', '172.16.0.3', '172.16.9.9']);
  assert.deepEqual(allowed([{ namespaceSelector: { matchLabels: { team: 'ops' } }, podSelector: { matchLabels: { app: 'web' } } }])?.addresses, []);
  assert.deepEqual(allowed([{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }]), { addresses: [], networks: [{ cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }] });
  assert.equal(rules({ podSelector: {}, ingress: [{}] })[0]?.ingress?.[0]?.peers, undefined);
});

test('a port by name is the number that the pod behind it gives it', () => {
  const inward = rules({ podSelector: { matchLabels: { app: 'web' } }, ingress: [{ ports: [{ port: 'http' }] }] });
  assert.deepEqual(inward[0]?.ingress, [{ peers: undefined, ports: [{ protocol: 'tcp', port: 8080, endPort: 8080 }] }]);
  const nobody = rules({ podSelector: { matchLabels: { app: 'db' } }, ingress: [{ ports: [{ port: 'http' }] }] });
  assert.deepEqual(nobody[0]?.ingress, []);
  const outward = rules({ podSelector: { matchLabels: { app: 'db' } }, policyTypes: ['Egress'], egress: [{ ports: [{ port: 'http' }] }] });
  assert.deepEqual(outward[0]?.egress, [{ peers: { addresses: ['172.16.0.2'], networks: [] }, ports: [{ protocol: 'tcp', port: 8080, endPort: 8080 }] }]);
});

test('pods of the host network, without an address or at their end are no concern of policies', () => {
  const object = (spec: object, status: object) => ({ metadata: { name: 'x', namespace: 'shop' }, spec: { containers: [], ...spec }, status }) as never;
  assert.equal(policyPod(object({ hostNetwork: true }, { podIP: '192.168.1.101' })), undefined);
  assert.equal(policyPod(object({}, {})), undefined);
  assert.equal(policyPod(object({}, { podIP: '172.16.0.5', phase: 'Succeeded' })), undefined);
  assert.equal(policyPod(object({}, { podIP: '172.16.0.5', phase: 'Running' }))?.address, '172.16.0.5');
});

test('the rules as nft: what is allowed returns, the rest is dropped; without rules the table goes', () => {
  assert.equal(policyRules([]), 'add table ip calico-policy\ndelete table ip calico-policy\n');
  const text = policyRules(rules({
    podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress', 'Egress'],
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'db' } } }], ports: [{ port: 80, endPort: 90 }, { protocol: 'UDP' }] }],
    egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }] }],
  }));
  assert.match(text, /ip saddr 172\.16\.0\.2 return\n {4}ip saddr \{ 172\.16\.0\.3 \} tcp dport 80-90 return\n {4}ip saddr \{ 172\.16\.0\.3 \} meta l4proto udp return\n {4}drop/);
  assert.match(text, /ip daddr 172\.16\.0\.2 return\n {4}ip daddr 10\.0\.0\.0\/8 ip daddr != \{ 10\.1\.0\.0\/16 \} return\n {4}drop/);
  assert.match(text, /ip saddr vmap \{ 172\.16\.0\.2 : jump from-0 \}\n {4}ip daddr vmap \{ 172\.16\.0\.2 : jump to-0 \}/);
  assert.match(text, /chain input \{\n.*hook input.*\n.*established.*\n {4}ip saddr vmap \{ 172\.16\.0\.2 : jump from-0 \}\n {2}\}/, 'what a pod sends to its own host is subject to its policies too');
  assert.doesNotMatch(policyRules(rules({ podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Ingress'] })), /hook input/);
});
