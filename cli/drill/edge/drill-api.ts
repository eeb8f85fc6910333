// The API server as a drill asks it: by the names that people type.
import { connectToApiserver, objectPath, TransportError, type ApiClient, type DeleteOptions } from '#lib/api-client/client.ts';
import { daemonSetKind } from '#lib/kinds/apps/daemon-set.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { leaseKind } from '#lib/kinds/coordination/lease.ts';
import { eventKind } from '#lib/kinds/core/event.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { allKinds } from '#lib/kinds/registry.ts';
import type { ObjectMeta } from '#lib/kinds/types/meta-v1.ts';
import { isAlreadyExists, isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { isConditionTrue } from '#lib/machinery/conditions.ts';
import { UserError } from '../../user-error.ts';
import { seenEvent } from '../core/changes.ts';
import type { KubeletConfiguration, TimeFacts } from '../core/cluster-times.ts';
import { eventsSince, type AnyObject, type SeenEvent } from '../core/rules.ts';

const REQUEST_TIMEOUT_MS = 3_000;
/** What a drill makes carries it, so that what is left of a killed one is found. */
export const DRILL_LABEL = 'kubreak.io/drill';
const STATIC_PODS = ['kube-apiserver', 'kube-controller-manager'];
/** A leader renews every 2 s; milliseconds. */
const STALE_LEADER_MS = 12_000;

/** That nobody answered, or not as an API server does. */
export const isNoAnswer = (error: unknown): boolean =>
  error instanceof TransportError || (error instanceof StatusError && error.code >= 500) || (error instanceof StatusError && error.code === 429)
  || (error instanceof DOMException && (error.name === 'TimeoutError' || error.name === 'AbortError'));

export interface Selection {
  readonly selector?: string;
  readonly namespace?: string;
}

export class DrillApi {
  readonly client: ApiClient;
  /** Of the drill. */
  readonly namespace: string;
  readonly #signal: AbortSignal;
  #countsBefore: ReadonlyMap<string, number> = new Map();

  constructor(client: ApiClient, namespace: string, signal: AbortSignal) {
    this.client = client;
    this.namespace = namespace;
    this.#signal = signal;
  }

  static async connect(kubeconfig: string, namespace: string, signal: AbortSignal): Promise<DrillApi> {
    return new DrillApi(connectToApiserver(await loadKubeconfig(kubeconfig), 'kubreak-drill'), namespace, signal);
  }

  /** For a request. */
  get deadline(): { readonly signal: AbortSignal } {
    return { signal: AbortSignal.any([this.#signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]) };
  }

  /** `pod/NAME`: that one or none; `pods`: all that are selected. */
  async objects(reference: string, { selector, namespace = this.namespace }: Selection = {}): Promise<AnyObject[]> {
    const { kind, name } = resolve(reference);
    const place = kind.namespaced ? namespace : undefined;
    if (name === undefined) return (await this.client.list<KubernetesObject>(kind, { namespace: place, labelSelector: selector }, this.deadline)).items as AnyObject[];
    try {
      return [await this.client.get<KubernetesObject>(kind, place, name, this.deadline) as AnyObject];
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }

  /** Resolves with the names of what was told to go. */
  async delete(reference: string, { selector, namespace = this.namespace }: Selection, deletion: DeleteOptions): Promise<string[]> {
    const { kind } = resolve(reference);
    const found = await this.objects(reference, { namespace, ...(selector !== undefined && { selector }) });
    for (const { metadata: { name } } of found) {
      await this.client.delete<KubernetesObject>(kind, kind.namespaced ? namespace : undefined, name, { propagationPolicy: 'Background', ...deletion }, this.deadline);
    }
    return found.map(({ metadata: { name } }) => `${kind.singular}/${name}`);
  }

  /** At the beginning of the drill: what stands by now does not count. */
  async noteEvents(): Promise<void> {
    this.#countsBefore = new Map((await this.client.list(eventKind, {}, this.deadline)).items.map(seenEvent).map(({ uid, count }) => [uid, count]));
  }

  async eventsSince(sinceMs: number, namespace = this.namespace): Promise<SeenEvent[]> {
    return eventsSince((await this.client.list(eventKind, { namespace }, this.deadline)).items.map(seenEvent), sinceMs, this.#countsBefore);
  }

  async makeNamespace(drill: string): Promise<void> {
    const metadata = { name: this.namespace, labels: { [DRILL_LABEL]: drill } };
    await this.client.create(namespaceKind, { metadata, spec: {}, status: {} }, this.deadline).catch((error: unknown) => {
      if (!isAlreadyExists(error)) throw error; // asked twice: the answer to the first was lost
    });
  }

  /** Before, pods are refused. */
  async hasServiceAccount(): Promise<boolean> {
    return (await this.objects('serviceaccount/default')).length > 0;
  }

  /** What is lacking for a cluster of these hosts to be whole, in a few words; empty: nothing is. */
  async lacking(hosts: readonly string[], nowMs: number): Promise<string> {
    const system = { namespace: 'kube-system' };
    const [nodes, pods, leases, daemonSets, deployments] = await Promise.all([
      this.client.list(nodeKind, {}, this.deadline), this.client.list(podKind, system, this.deadline), this.client.list(leaseKind, system, this.deadline),
      this.client.list(daemonSetKind, system, this.deadline), this.client.list(deploymentKind, system, this.deadline),
    ]);
    // A cluster that has just been started lacks first what is not there at all yet.
    const unknown = hosts.filter((host) => !nodes.items.some(({ metadata }) => metadata.name === host));
    if (unknown.length > 0) return `hosts that are no nodes: ${unknown.join(', ')}`;
    const unready = nodes.items.filter(({ status }) => !isConditionTrue(status?.conditions, 'Ready')).map(({ metadata }) => metadata.name);
    if (unready.length > 0) return `nodes not Ready: ${unready.join(', ')}`;
    const closed = nodes.items.filter(({ spec }) => spec?.unschedulable === true || spec?.taints?.some(({ key }) => key.startsWith('node.kubernetes.io/'))).map(({ metadata }) => metadata.name);
    if (closed.length > 0) return `nodes with taints: ${closed.join(', ')}`;
    const limping = pods.items.filter(({ metadata, status }) => metadata.deletionTimestamp !== undefined || (status?.phase !== 'Succeeded' && !isConditionTrue(status?.conditions, 'Ready'))).map(({ metadata }) => metadata.name);
    if (limping.length > 0) return `pods not Ready: ${limping.join(', ')}`;
    const isSeen = (metadata: ObjectMeta, seen: number | undefined): boolean => (seen ?? 0) >= (metadata.generation ?? 0);
    const incomplete = [
      ...daemonSets.items.filter(({ metadata, status }) => !isSeen(metadata, status?.observedGeneration) || (status?.numberReady ?? 0) < (status?.desiredNumberScheduled ?? 0)),
      ...deployments.items.filter(({ metadata, spec, status }) => !isSeen(metadata, status?.observedGeneration) || (status?.readyReplicas ?? 0) < (spec?.replicas ?? 1)),
    ].map(({ metadata }) => metadata.name);
    if (incomplete.length > 0) return `not all pods of: ${incomplete.join(', ')}`;
    for (const leader of ['kube-controller-manager', 'kube-scheduler']) {
      const renewed = Date.parse(leases.items.find(({ metadata }) => metadata.name === leader)?.spec?.renewTime ?? '');
      if (!(nowMs - renewed < STALE_LEADER_MS)) return `${leader} does not lead`;
    }
    return '';
  }

  async timeFacts(): Promise<TimeFacts> {
    const { items } = await this.client.list(podKind, { namespace: 'kube-system', labelSelector: 'tier=control-plane' }, this.deadline);
    const commands = new Map(STATIC_PODS.map((name) => [name, items.find(({ metadata }) => metadata.labels?.['component'] === name)?.spec?.containers[0]?.command ?? []]));
    const node = items[0]?.spec?.nodeName ?? '';
    const { kubeletconfig = {} } = node === '' ? {} : await this.client.request<{ kubeletconfig?: KubeletConfiguration }>('GET', `${objectPath(nodeKind, undefined, node, 'proxy')}/configz`, undefined, this.deadline);
    return { commands, kubelet: kubeletconfig };
  }

  async close(): Promise<void> {
    await this.client.close();
  }
}

/** Throws UserError for a resource that is none. */
function resolve(reference: string): { readonly kind: AnyKind; readonly name: string | undefined } {
  const [resource = '', name] = reference.split('/');
  const word = resource.toLowerCase();
  const kind = allKinds.find(({ plural, singular, shortNames, kind: own, group }) => plural === word || singular === word || own.toLowerCase() === word || shortNames.includes(word) || `${plural}.${group}` === word);
  if (!kind) throw new UserError(`no resource is called "${resource}"`);
  return { kind, name };
}
