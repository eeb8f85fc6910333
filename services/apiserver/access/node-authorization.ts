// What kubelets may do: their own Node, lease and pods, and what those pods refer to.
// Source: plugin/pkg/auth/authorizer/node/{node_authorizer,graph}.go, Kubernetes 1.36.
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { PolicyRule } from '#lib/kinds/types/rbac-v1.ts';
import type { AuthorizationAttributes, AuthorizationDecision, User } from '../core/access.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import { ruleAllows } from './rbac-rules.ts';

/** Rules that hold for every node; resources that the graph decides about are not among them. Source: bootstrappolicy.NodeRules. */
const UNIFORM_RULES: readonly PolicyRule[] = [
  { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
  { apiGroups: ['authorization.k8s.io'], resources: ['localsubjectaccessreviews', 'subjectaccessreviews'], verbs: ['create'] },
  { apiGroups: [''], resources: ['services'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['', 'events.k8s.io'], resources: ['events'], verbs: ['create', 'patch', 'update'] },
  { apiGroups: [''], resources: ['endpoints'], verbs: ['get'] },
  { apiGroups: ['certificates.k8s.io'], resources: ['certificatesigningrequests'], verbs: ['create', 'get', 'list', 'watch'] },
  { apiGroups: ['storage.k8s.io'], resources: ['csidrivers'], verbs: ['get', 'list', 'watch'] },
  { apiGroups: ['node.k8s.io'], resources: ['runtimeclasses'], verbs: ['get', 'list', 'watch'] },
];

const allow: AuthorizationDecision = { allowed: true, reason: '' };
const deny = (reason = ''): AuthorizationDecision => ({ allowed: false, reason });

/** Name of the node that a user stands for; empty when it is a node without a name. Source: pkg/auth/nodeidentifier. */
export function nodeIdentity(user: User): string | undefined {
  if (!user.name.startsWith('system:node:') || !user.groups.includes('system:nodes')) return undefined;
  return user.name.slice('system:node:'.length);
}

type Referred = 'secrets' | 'configmaps' | 'persistentvolumeclaims' | 'serviceaccounts' | 'pods';

/** Which node has a pod that refers to an object; kept up to date from the watch of pods. */
export class NodeGraph {
  /** Node to `secrets/NS/NAME` to the number of its pods that refer to it. */
  readonly #references = new Map<string, Map<string, number>>();
  readonly #edges = new Map<string, { readonly node: string; readonly keys: readonly string[] }>();

  constructor(objects: ObjectReader) {
    objects.subscribe(podKind, ({ type, object }) => {
      this.#remove(podKey(object));
      if (type !== 'DELETED') this.#add(object);
    });
  }

  isRelated(node: string, resource: Referred, namespace: string, name: string): boolean {
    return this.#references.get(node)?.has(`${resource}/${namespace}/${name}`) ?? false;
  }

  #add(pod: Pod): void {
    const node = pod.spec?.nodeName;
    if (!node) return;
    const keys = referencesOf(pod);
    const counts = this.#references.get(node) ?? new Map<string, number>();
    this.#references.set(node, counts);
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
    this.#edges.set(podKey(pod), { node, keys });
  }

  #remove(pod: string): void {
    const edge = this.#edges.get(pod);
    if (!edge) return;
    this.#edges.delete(pod);
    const counts = this.#references.get(edge.node);
    for (const key of edge.keys) {
      const count = (counts?.get(key) ?? 0) - 1;
      if (count > 0) counts?.set(key, count);
      else counts?.delete(key);
    }
    if (counts?.size === 0) this.#references.delete(edge.node);
  }
}

const podKey = ({ metadata }: Pod): string => `${metadata.namespace ?? ''}/${metadata.name ?? ''}`;

/** A mirror pod gives its node no more than itself: who writes the static pod does not decide about the API. */
export function referencesOf(pod: Pod): string[] {
  const namespace = pod.metadata.namespace ?? '';
  const keys = new Set<string>();
  const add = (resource: Referred, name: string | undefined) => {
    if (name) keys.add(`${resource}/${namespace}/${name}`);
  };
  add('pods', pod.metadata.name);
  if (pod.metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined) return [...keys];
  const spec = pod.spec;
  add('serviceaccounts', spec?.serviceAccountName);
  for (const { name } of spec?.imagePullSecrets ?? []) add('secrets', name);
  for (const container of [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...(spec?.ephemeralContainers ?? [])]) {
    for (const { secretRef, configMapRef } of container.envFrom ?? []) {
      add('secrets', secretRef?.name);
      add('configmaps', configMapRef?.name);
    }
    for (const { valueFrom } of container.env ?? []) {
      add('secrets', valueFrom?.secretKeyRef?.name);
      add('configmaps', valueFrom?.configMapKeyRef?.name);
    }
  }
  for (const volume of spec?.volumes ?? []) {
    add('secrets', volume.secret?.secretName);
    add('configmaps', volume.configMap?.name);
    add('persistentvolumeclaims', volume.persistentVolumeClaim?.claimName);
    if (volume.ephemeral) add('persistentvolumeclaims', `${pod.metadata.name ?? ''}-${volume.name}`);
    for (const { secret, configMap } of volume.projected?.sources ?? []) {
      add('secrets', secret?.name);
      add('configmaps', configMap?.name);
    }
    for (const ref of [volume.csi?.nodePublishSecretRef, volume.cephfs?.secretRef, volume.rbd?.secretRef, volume.iscsi?.secretRef, volume.flexVolume?.secretRef]) {
      add('secrets', ref?.name);
    }
  }
  return [...keys];
}

export function nodeAuthorize(graph: NodeGraph, request: AuthorizationAttributes): AuthorizationDecision {
  const node = nodeIdentity(request.user);
  if (node === undefined) return deny();
  if (node === '') return deny(`unknown node for user ${JSON.stringify(request.user.name)}`);
  if (!request.isResourceRequest) return deny();
  const related = (resource: Referred): AuthorizationDecision => {
    if (request.name === '') return deny('No Object name found');
    return graph.isRelated(node, resource, request.namespace, request.name) ? allow : deny(`no relationship found between node '${node}' and this object`);
  };
  switch (`${request.resource}.${request.apiGroup}`) {
    case 'secrets.':
    case 'configmaps.': {
      if (!['get', 'list', 'watch'].includes(request.verb)) return deny('can only read resources of this type');
      if (request.subresource !== '') return deny('cannot read subresource');
      if (request.namespace === '') return deny('can only read namespaced object of this type');
      return related(request.resource as Referred);
    }
    case 'persistentvolumeclaims.':
      if (request.subresource === 'status') {
        return ['update', 'patch'].includes(request.verb) ? related('persistentvolumeclaims') : deny('can only get/update/patch this type');
      }
      return onlyGet(request) ?? related('persistentvolumeclaims');
    case 'persistentvolumes.':
    case 'volumeattachments.storage.k8s.io':
      // Upstream follows claims to their volumes; no such edges are kept here, so any node may read any volume.
      return onlyGet(request) ?? allow;
    case 'serviceaccounts.':
      if (request.verb !== 'create' || request.name === '') return deny('can only create tokens for individual service accounts');
      return request.subresource === 'token' ? related('serviceaccounts') : deny('can only create token subresource of serviceaccount');
    case 'leases.coordination.k8s.io': return authorizeLease(node, request);
    case 'csinodes.storage.k8s.io': return authorizeCsiNode(node, request);
    case 'nodes.': return authorizeNode(node, request);
    case 'pods.': return authorizePod(request, related);
    default: return UNIFORM_RULES.some((rule) => ruleAllows(rule, request)) ? allow : deny();
  }
}

function onlyGet({ verb, subresource }: AuthorizationAttributes): AuthorizationDecision | undefined {
  if (verb !== 'get') return deny('can only get individual resources of this type');
  return subresource === '' ? undefined : deny('cannot get subresource');
}

const OWN_VERBS: readonly string[] = ['get', 'create', 'update', 'patch', 'delete'];

function authorizeLease(node: string, { verb, namespace, name }: AuthorizationAttributes): AuthorizationDecision {
  if (!OWN_VERBS.includes(verb)) return deny('can only get, create, update, patch, or delete a node lease');
  if (namespace !== 'kube-node-lease') return deny('can only access leases in the "kube-node-lease" system namespace');
  if (verb !== 'create' && name !== node) return deny('can only access node lease with the same name as the requesting node');
  return allow;
}

function authorizeCsiNode(node: string, { verb, subresource, name }: AuthorizationAttributes): AuthorizationDecision {
  if (!OWN_VERBS.includes(verb)) return deny('can only get, create, update, patch, or delete a CSINode');
  if (subresource !== '') return deny('cannot authorize CSINode subresources');
  if (verb !== 'create' && name !== node) return deny('can only access CSINode with the same name as the requesting node');
  return allow;
}

function authorizeNode(node: string, { verb, subresource, name }: AuthorizationAttributes): AuthorizationDecision {
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? allow : deny();
  if (subresource !== '') return deny();
  switch (verb) {
    case 'create':
    case 'update':
    case 'patch': return allow;
    case 'get':
    case 'list':
    case 'watch':
      if (name === node) return allow;
      return deny(name === '' ? `node '${node}' cannot read all nodes, only its own Node object` : `node '${node}' cannot read '${name}', only its own Node object`);
    default: return deny();
  }
}

function authorizePod(request: AuthorizationAttributes, related: (resource: Referred) => AuthorizationDecision): AuthorizationDecision {
  const { verb, subresource, name } = request;
  switch (subresource) {
    case '':
      if (verb === 'get') return related('pods');
      if (verb === 'list' || verb === 'watch') return name === '' ? listOfOwnPods(request) : related('pods');
      return verb === 'create' || verb === 'delete' ? allow : deny();
    case 'status': return verb === 'update' || verb === 'patch' ? allow : deny();
    case 'eviction': return verb === 'create' ? allow : deny();
    default: return deny();
  }
}

function listOfOwnPods({ user, fieldSelector }: AuthorizationAttributes): AuthorizationDecision {
  const node = nodeIdentity(user) ?? '';
  const isScoped = (fieldSelector ?? '').split(',').some((term) => /^spec\.nodeName==?([^=].*)$/.exec(term.trim())?.[1] === node);
  return isScoped ? allow : deny('can only list/watch pods with spec.nodeName field selector');
}
