// When a cluster counts as whole: what its API says is complete and agrees with itself, and what a user does works.
import type { ApiClient } from '#lib/api-client/client.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import { leaseKind } from '#lib/kinds/coordination/lease.ts';
import { eventKind } from '#lib/kinds/core/event.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import type { Lease } from '#lib/kinds/types/coordination-v1.ts';
import type { Event, Node, Pod, Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { isConditionTrue } from '#lib/machinery/conditions.ts';
import type { KnownPod } from './survey.ts';
import { belongsOn, COMPONENTS, type HostLayout } from '../cluster-layout.ts';
import { NAMESPACE, PROBE, PROBE_REPLICAS, STORE, STORE_REPLICAS } from './workloads.ts';

export interface Snapshot {
  readonly nodes: readonly Node[];
  readonly pods: readonly Pod[];
  /** As the API server's memory has them, not its store. */
  readonly remembered: readonly Pod[];
  readonly slices: readonly EndpointSlice[];
  readonly services: readonly Service[];
  readonly leases: readonly Lease[];
  readonly readyReplicas: { readonly probe: number; readonly store: number };
}

/** kube-system of a fresh cluster beside the control plane: two of CoreDNS, calico-kube-controllers; kube-proxy and calico-node on each host. */
const SYSTEM_PODS = 3;
const SYSTEM_PODS_PER_HOST = 2;
/** A kubelet renews its Lease every 10 s, a leader every 2 s; milliseconds. */
const STALE_NODE_LEASE_MS = 25_000;
const STALE_LEADER_MS = 15_000;
const CONFIG_HASH = 'kubernetes.io/config.hash';

export async function takeSnapshot(api: ApiClient, signal: () => AbortSignal): Promise<Snapshot> {
  const options = () => ({ signal: signal() });
  const [nodes, pods, remembered, slices, services, leases, probe, store] = await Promise.all([
    api.list(nodeKind, {}, options()), api.list(podKind, {}, options()), api.list(podKind, { resourceVersion: '0' }, options()), api.list(endpointSliceKind, {}, options()),
    api.list(serviceKind, {}, options()), api.list(leaseKind, {}, options()), api.get(deploymentKind, NAMESPACE, PROBE, options()), api.get(statefulSetKind, NAMESPACE, STORE, options()),
  ]);
  return {
    nodes: nodes.items, pods: pods.items, remembered: remembered.items, slices: slices.items, services: services.items, leases: leases.items,
    readyReplicas: { probe: probe.status?.readyReplicas ?? 0, store: store.status?.readyReplicas ?? 0 },
  };
}

const nameOf = ({ metadata }: Pod): string => metadata.name;

/** In a few words; empty when nothing is. `hasClients`: each host has a pod that asks. */
export function lackingIn(
  { nodes, pods, remembered, slices, services, leases, readyReplicas }: Snapshot, layouts: readonly HostLayout[], { nowMs, hasClients }: { nowMs: number; hasClients: boolean },
): string {
  const hosts = layouts.map(({ name }) => name);
  const manifests = COMPONENTS.filter(({ supervisedBy }) => supervisedBy === 'static-pod')
    .flatMap((component) => layouts.filter((layout) => belongsOn(component, layout, layouts)).map(({ name }) => `${component.unit}-${name}`));
  const unready = hosts.filter((host) => !nodes.some(({ metadata, status }) => metadata.name === host && isConditionTrue(status?.conditions, 'Ready')));
  if (unready.length > 0) return `nodes not Ready: ${unready.join(', ')}`;
  const tainted = nodes.filter(({ spec }) => spec?.taints?.some(({ key }) => key.startsWith('node.kubernetes.io/')));
  if (tainted.length > 0) return `nodes with taints: ${tainted.map(({ metadata }) => metadata.name).join(', ')}`;

  const limping = pods.filter(({ status, metadata }) => metadata.deletionTimestamp !== undefined || !isConditionTrue(status?.conditions, 'Ready'));
  if (limping.length > 0) return `pods not Ready: ${limping.map(({ metadata, status }) => `${metadata.name} (${metadata.deletionTimestamp === undefined ? status?.containerStatuses?.[0]?.state?.waiting?.reason ?? status?.phase ?? '?' : 'Terminating'})`).join(', ')}`;
  const count = (namespace: string): number => pods.filter(({ metadata }) => metadata.namespace === namespace).length;
  const expected = manifests.length + SYSTEM_PODS + SYSTEM_PODS_PER_HOST * hosts.length;
  if (count('kube-system') !== expected) return `${count('kube-system')} pods in kube-system, not ${expected}`;
  const ofRun = PROBE_REPLICAS + STORE_REPLICAS + (hasClients ? hosts.length : 0);
  if (count(NAMESPACE) !== ofRun) return `${count(NAMESPACE)} pods of the run, not ${ofRun}`;
  if (readyReplicas.probe !== PROBE_REPLICAS || readyReplicas.store !== STORE_REPLICAS) return `ready replicas: probe ${readyReplicas.probe}, store ${readyReplicas.store}`;
  for (const manifest of manifests) {
    const mirrors = pods.filter(({ metadata }) => metadata.name === manifest);
    if (mirrors.length !== 1 || mirrors[0]?.metadata.annotations?.[CONFIG_HASH] === undefined) return `mirror pods of ${manifest}: ${mirrors.map(nameOf).join(', ') || 'none'}`;
  }
  const versions = (all: readonly Pod[]): string => all.map(({ metadata }) => `${metadata.namespace}/${metadata.name} ${metadata.resourceVersion}`).sort().join();
  if (versions(pods) !== versions(remembered)) return 'the API server remembers other pods than it has stored';

  const addresses = pods.filter(({ spec }) => spec?.hostNetwork !== true).map((pod) => ({ name: nameOf(pod), address: pod.status?.podIP ?? '' }));
  const twice = addresses.filter(({ address }, index) => addresses.findIndex((other) => other.address === address) !== index);
  if (twice.length > 0) return `addresses of more than one pod: ${twice.map(({ name, address }) => `${address} ${name}`).join(', ')}`;
  const wrong = wrongSlices(pods, slices, services);
  if (wrong !== '') return wrong;
  if (services.some(({ metadata, status }) => metadata.name === PROBE && !status?.loadBalancer?.ingress?.[0]?.ip)) return 'the probe has no load balancer address';

  const ageMs = (lease: Lease | undefined): number => nowMs - Date.parse(lease?.spec?.renewTime ?? '1970-01-01T00:00:00Z');
  const lease = (namespace: string, name: string) => leases.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
  for (const host of hosts) {
    const age = ageMs(lease('kube-node-lease', host));
    if (age > STALE_NODE_LEASE_MS) return `${host} has not renewed its Lease for ${Math.round(age / 1000)} s`;
  }
  for (const leader of ['kube-controller-manager', 'kube-scheduler']) {
    const age = ageMs(lease('kube-system', leader));
    if (age > STALE_LEADER_MS) return `${leader} has not led for ${Math.round(age / 1000)} s`;
  }
  return '';
}

/** Ready addresses in the slices of a Service with a selector are those of its Ready pods, each once. */
function wrongSlices(pods: readonly Pod[], slices: readonly EndpointSlice[], services: readonly Service[]): string {
  for (const { metadata, spec } of services) {
    const selector = Object.entries(spec?.selector ?? {});
    if (selector.length === 0) continue;
    const chosen = pods.filter((pod) => pod.metadata.namespace === metadata.namespace && selector.every(([key, value]) => pod.metadata.labels?.[key] === value));
    const wanted = chosen.map(({ status }) => status?.podIP ?? '').sort().join(' ');
    const found = slices.filter((slice) => slice.metadata.namespace === metadata.namespace && slice.metadata.labels?.['kubernetes.io/service-name'] === metadata.name)
      .flatMap(({ endpoints }) => (endpoints ?? []).filter(({ conditions }) => conditions?.ready !== false).flatMap((endpoint) => endpoint.addresses)).sort().join(' ');
    if (wanted !== found) return `endpoints of ${metadata.name}: ${found || 'none'}, not ${wanted || 'none'}`;
  }
  return '';
}

export const knownPods = (pods: readonly Pod[]): KnownPod[] => pods.map((pod) => ({
  uid: pod.metadata.annotations?.[CONFIG_HASH] ?? pod.metadata.uid ?? '', name: nameOf(pod), host: pod.spec?.nodeName ?? '',
  address: pod.status?.podIP ?? '', isHostNetwork: pod.spec?.hostNetwork === true,
}));

/** What shows that a program stumbled over itself: texts of JavaScript where people read, times that cannot be. */
const ABSURD = /\bundefined\b|\[object |\bNaN\b|TypeError|ReferenceError|RangeError|Cannot read prop|\.js:\d+|\bat async /;
const CLOCK_SLACK_MS = 5_000;

/** `nowMs`: absent where clocks were set, so that times say nothing. */
export function absurdEvents(events: readonly Event[], nowMs?: number): string[] {
  return events.flatMap(({ reason, message, involvedObject, lastTimestamp, firstTimestamp, source, reportingComponent }) => {
    const what = `${involvedObject.kind}/${involvedObject.name} ${reason ?? ''}: ${message ?? ''}`;
    if (!reason || ABSURD.test(what)) return [`event that makes no sense: ${what}`];
    if (!source?.component && !reportingComponent) return [`event of nobody: ${what}`];
    const [first, last] = [Date.parse(firstTimestamp ?? ''), Date.parse(lastTimestamp ?? '')];
    if (nowMs !== undefined && (first > last || last > nowMs + CLOCK_SLACK_MS)) return [`event from ${firstTimestamp ?? '?'} to ${lastTimestamp ?? '?'}: ${what}`];
    return [];
  });
}

export const listEvents = async (api: ApiClient): Promise<Event[]> => (await api.list(eventKind)).items;

/** Exit codes that a killed or rebooted container has; 1 is a component that gave up because it could not reach another. */
const USUAL_EXITS = [0, 1, 137, 143, 255];
/** What the runtime says of a component that `kubreak stop` keeps down. */
const HELD_DOWN = 'is held down on this host';

/** Ends of containers that nobody ordered. */
export function strangeExits(pods: readonly Pod[]): string[] {
  return pods.flatMap(({ metadata, status }) => (status?.containerStatuses ?? []).flatMap(({ lastState }) => {
    const end = lastState?.terminated;
    return !end || USUAL_EXITS.includes(end.exitCode) || end.message?.includes(HELD_DOWN) === true ? [] : [`${metadata.name} ended with ${end.exitCode} (${end.reason ?? ''}) at ${end.finishedAt ?? '?'} ${end.message ?? ''}`];
  }));
}

