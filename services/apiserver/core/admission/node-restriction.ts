// NodeRestriction: a kubelet writes its own Node, its own Lease and what belongs to pods bound to it; nothing else.
// Source: plugin/pkg/admission/noderestriction/admission.go.
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { forbidden } from '#lib/machinery/status-error.ts';
import type { User } from '../access.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { AdmissionAttributes, AdmissionPlugin } from './admission.ts';
import { isMirrorPod, usesClaims, usesConfigMaps, usesSecrets } from './mirror-pod.ts';

const NODE_USER_PREFIX = 'system:node:';
const LEASE_NAMESPACE = 'kube-node-lease';
/** Labels that a kubelet may set on its node although they lie in kubernetes.io or k8s.io. */
const KUBELET_LABELS: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname', 'kubernetes.io/arch', 'kubernetes.io/os', 'beta.kubernetes.io/instance-type', 'node.kubernetes.io/instance-type',
  'failure-domain.beta.kubernetes.io/region', 'failure-domain.beta.kubernetes.io/zone', 'topology.kubernetes.io/region', 'topology.kubernetes.io/zone',
  'beta.kubernetes.io/os', 'beta.kubernetes.io/arch',
]);
const KUBELET_NAMESPACES = ['kubelet.kubernetes.io', 'node.kubernetes.io'] as const;

function nodeNameOf({ name, groups }: User): string | undefined {
  return name.startsWith(NODE_USER_PREFIX) && groups.includes('system:nodes') ? name.slice(NODE_USER_PREFIX.length) : undefined;
}

function isForbiddenLabel(key: string): boolean {
  const namespace = key.includes('/') ? key.slice(0, key.indexOf('/')) : '';
  if (namespace === 'node-restriction.kubernetes.io' || namespace.endsWith('.node-restriction.kubernetes.io')) return true;
  const isReserved = ['kubernetes.io', 'k8s.io'].some((domain) => namespace === domain || namespace.endsWith(`.${domain}`));
  if (!isReserved || KUBELET_LABELS.has(key)) return false;
  return !KUBELET_NAMESPACES.some((own) => namespace === own || namespace.endsWith(`.${own}`));
}

function changedLabels(next: Readonly<Record<string, string>> = {}, previous: Readonly<Record<string, string>> = {}): string[] {
  return [...new Set([...Object.keys(next), ...Object.keys(previous)])].filter((key) => next[key] !== previous[key]);
}

export function nodeRestriction(objects: ObjectReader): AdmissionPlugin {
  async function checkPodCreate(attributes: AdmissionAttributes, node: string, refuse: (text: string) => Error): Promise<void> {
    const pod = attributes.object as Pod;
    if (!isMirrorPod(pod)) throw refuse(`pod does not have "kubernetes.io/config.mirror" annotation, node "${node}" can only create mirror pods`);
    if (pod.spec?.nodeName !== node) throw refuse(`node "${node}" can only create pods with spec.nodeName set to itself`);
    const owners = pod.metadata.ownerReferences ?? [];
    if (owners.length > 1) throw refuse(`node "${node}" can only create pods with a single owner reference set to itself`);
    const [owner] = owners;
    if (owner) {
      if (owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) throw refuse(`node "${node}" can only create pods with an owner reference set to itself`);
      if (!owner.controller) throw refuse(`node "${node}" can only create pods with a controller owner reference set to itself`);
      if (owner.blockOwnerDeletion) throw refuse(`node "${node}" must not set blockOwnerDeletion on an owner reference`);
      const found = objects.cached(nodeKind, '', node) ?? await objects.read(nodeKind, '', node);
      if (!found) throw refuse(`node "${node}" not found`);
      if (owner.uid !== found.metadata.uid) throw refuse(`node ${node} UID mismatch: expected ${owner.uid} got ${found.metadata.uid ?? ''}`);
    }
    if (pod.spec.serviceAccountName) throw refuse(`node "${node}" can not create pods that reference a service account`);
    if (usesSecrets(pod)) throw refuse(`node "${node}" can not create pods that reference secrets`);
    if (usesConfigMaps(pod)) throw refuse(`node "${node}" can not create pods that reference configmaps`);
    if (usesClaims(pod)) throw refuse(`node "${node}" can not create pods that reference persistentvolumeclaims`);
  }

  async function checkPod(attributes: AdmissionAttributes, node: string, refuse: (text: string) => Error): Promise<void> {
    const { operation, subresource, namespace, name } = attributes;
    const pod = (attributes.previous ?? objects.cached(podKind, namespace, name)) as Pod | undefined;
    if (subresource === '' && operation === 'CREATE') return checkPodCreate(attributes, node, refuse);
    if (subresource === '' && operation === 'DELETE') {
      if (pod?.spec?.nodeName !== node) throw refuse(`node "${node}" can only delete pods with spec.nodeName set to itself`);
      return undefined;
    }
    if (subresource === 'status') {
      if (pod?.spec?.nodeName !== node) throw refuse(`node "${node}" can only update pod status for pods with spec.nodeName set to itself`);
      const next = attributes.object as Pod;
      if (!semanticEqual(next.metadata.labels, pod.metadata.labels)) throw refuse(`node "${node}" cannot update labels through pod status`);
      return undefined;
    }
    if (subresource === 'eviction') {
      if (pod?.spec?.nodeName !== node) throw refuse(`node ${node} can only evict pods with spec.nodeName set to itself`);
      return undefined;
    }
    throw refuse(`unexpected operation "${operation}"${subresource === '' ? '' : ` on subresource "${subresource}"`}, node "${node}" can only create and delete mirror pods`);
  }

  function checkNode({ operation, object, previous, name }: AdmissionAttributes, node: string, refuse: (text: string) => Error): void {
    const requested = (object?.metadata.name ?? '') || name;
    if (operation === 'DELETE') {
      if (requested !== node) throw refuse(`node "${node}" is not allowed to delete node "${requested}"`);
      return;
    }
    if (requested !== node) throw refuse(`node "${node}" is not allowed to modify node "${requested}"`);
    const next = object as Node;
    if (operation === 'CREATE') {
      const bad = Object.keys(next.metadata.labels ?? {}).filter(isForbiddenLabel).sort();
      if (next.spec?.configSource) throw refuse(`node "${node}" is not allowed to create pods with a non-nil configSource`);
      if (bad.length > 0) throw refuse(`node "${node}" is not allowed to set the following labels: ${bad.join(', ')}`);
      return;
    }
    const old = previous as Node;
    if (!semanticEqual(next.spec?.taints, old.spec?.taints)) throw refuse(`node "${node}" is not allowed to modify taints`);
    const bad = changedLabels(next.metadata.labels, old.metadata.labels).filter(isForbiddenLabel).sort();
    if (bad.length > 0) throw refuse(`node "${node}" is not allowed to modify labels: ${bad.join(', ')}`);
    if (!semanticEqual(next.metadata.ownerReferences, old.metadata.ownerReferences)) throw refuse(`node "${node}" is not allowed to modify ownerReferences`);
  }

  function checkLease({ namespace, name, object }: AdmissionAttributes, node: string, refuse: (text: string) => Error): void {
    if (namespace !== LEASE_NAMESPACE) throw refuse(`can only access leases in the "${LEASE_NAMESPACE}" system namespace`);
    const requested = name === '' ? object?.metadata.name : name;
    if (requested !== node) throw refuse('can only access lease with the same name as the requesting node');
  }

  return {
    name: 'NodeRestriction',
    validate: async (attributes) => {
      const node = nodeNameOf(attributes.user);
      if (node === undefined) return;
      const { kind, name } = attributes;
      const refuse = (text: string): Error => forbidden(kind, name, text);
      if (node === '') throw refuse(`could not determine node from user "${attributes.user.name}"`);
      if (kind.group === '' && kind.kind === 'Pod') await checkPod(attributes, node, refuse);
      else if (kind.group === '' && kind.kind === 'Node') checkNode(attributes, node, refuse);
      else if (kind.group === 'coordination.k8s.io' && kind.kind === 'Lease') checkLease(attributes, node, refuse);
    },
  };
}
