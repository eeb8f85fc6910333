// What NetworkPolicies mean for the pods of this node: for each pod that some policy selects, whom it may hear from and
// whom it may talk to. Several policies add up; what none of them allows is dropped.
// Source: pkg/apis/networking/types.go; Felix leaves traffic between a pod and its own host alone, and so do we.
import type { Container, Pod } from '#lib/kinds/types/core-v1.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '#lib/kinds/types/networking-v1.ts';
import { parseIpv4Cidr, formatIpv4Cidr } from '#lib/machinery/ipv4.ts';
import { labelSelector } from '#lib/machinery/selectors.ts';

/** What of a pod matters here, so that little of it is kept. */
export interface PolicyPod {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
}

export interface PolicyNamespace {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Addresses that are let through: single ones, and networks with holes. `undefined`: everybody. */
export interface AllowedPeers {
  readonly addresses: readonly string[];
  readonly networks: readonly { readonly cidr: string; readonly except: readonly string[] }[];
}

/** `endPort` is at least `port`; both undefined: every port of the protocol. */
export interface AllowedPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly port?: number | undefined;
  readonly endPort?: number | undefined;
}

export interface Allowance {
  readonly peers: AllowedPeers | undefined;
  /** undefined: every protocol and port. */
  readonly ports: readonly AllowedPort[] | undefined;
}

/** `undefined`: the direction is not isolated. */
export interface PodRules {
  readonly pod: PolicyPod;
  readonly ingress: readonly Allowance[] | undefined;
  readonly egress: readonly Allowance[] | undefined;
}

/** A Pod with no more than `policyPod` reads. */
export function leanPod({ metadata, spec, status }: Pod): Pod {
  const ports = (containers: readonly Container[] | undefined) => (containers ?? []).flatMap(({ name, ports: own }) => (own === undefined ? [] : [{ name, ports: own }]));
  return {
    metadata: { name: metadata.name, namespace: metadata.namespace, uid: metadata.uid, resourceVersion: metadata.resourceVersion, ...(metadata.labels ? { labels: metadata.labels } : {}) },
    spec: { nodeName: spec?.nodeName, hostNetwork: spec?.hostNetwork, containers: ports(spec?.containers), initContainers: ports(spec?.initContainers) },
    status: { podIP: status?.podIP, phase: status?.phase },
  };
}

const ENDED: ReadonlySet<string> = new Set(['Succeeded', 'Failed']);

/** Pods of the host's own network and those without an address are not subject to policies, nor peers of any. */
export function policyPod(pod: Pod): PolicyPod | undefined {
  const { spec, status, metadata } = pod;
  const address = status?.podIP ?? '';
  if (spec?.hostNetwork === true || address === '' || ENDED.has(status?.phase ?? '')) return undefined;
  const containers: readonly Container[] = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  return {
    namespace: metadata.namespace ?? '', name: metadata.name, node: spec?.nodeName ?? '', labels: metadata.labels ?? {}, address,
    ports: containers.flatMap(({ ports }) => (ports ?? []).flatMap(({ name, protocol, containerPort }) => (name === undefined || name === '' ? [] : [{ name, protocol: protocol ?? 'TCP', port: containerPort }]))),
  };
}

export interface PolicyWorld {
  readonly policies: readonly NetworkPolicy[];
  readonly pods: readonly PolicyPod[];
  readonly namespaces: readonly PolicyNamespace[];
}

/** The rules of each pod of `node` that a policy selects, in the order of namespace and name. */
export function rulesOfNode({ policies, pods, namespaces }: PolicyWorld, node: string): PodRules[] {
  const labelsOf = new Map(namespaces.map(({ name, labels }) => [name, labels]));
  const peerPods = (peer: NetworkPolicyPeer, policyNamespace: string): PolicyPod[] => {
    const bySpace = peer.namespaceSelector === undefined ? undefined : labelSelector(peer.namespaceSelector);
    const byPod = peer.podSelector === undefined ? undefined : labelSelector(peer.podSelector);
    return pods.filter(({ namespace, labels }) =>
      (bySpace === undefined ? namespace === policyNamespace : bySpace.matches(labelsOf.get(namespace) ?? {})) && (byPod === undefined || byPod.matches(labels)));
  };
  const found: PodRules[] = [];
  for (const pod of pods) {
    if (pod.node !== node) continue;
    const selecting = policies.filter(({ metadata, spec }) => metadata.namespace === pod.namespace && labelSelector(spec?.podSelector ?? {}).matches(pod.labels));
    const isolates = (direction: 'Ingress' | 'Egress'): NetworkPolicy[] => selecting.filter(({ spec }) =>
      spec?.policyTypes?.includes(direction) ?? (direction === 'Ingress' || (spec?.egress?.length ?? 0) > 0));
    const inward = isolates('Ingress');
    const outward = isolates('Egress');
    if (inward.length + outward.length === 0) continue;
    found.push({
      pod,
      ingress: inward.length === 0 ? undefined : inward.flatMap(({ metadata, spec }) => (spec?.ingress ?? []).flatMap(({ from, ports }) => {
        const allowed = portsAt(ports, [pod]);
        return allowed?.length === 0 ? [] : [{ peers: peersOf(from, (peer) => peerPods(peer, metadata.namespace ?? '')), ports: allowed }];
      })),
      egress: outward.length === 0 ? undefined : outward.flatMap(({ metadata, spec }) => (spec?.egress ?? []).flatMap(({ to, ports }) =>
        outwardAllowances(to, ports, (peer) => peerPods(peer, metadata.namespace ?? ''), pods))),
    });
  }
  return found.sort((a, b) => compare(`${a.pod.namespace}/${a.pod.name}`, `${b.pod.namespace}/${b.pod.name}`));
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function peersOf(peers: readonly NetworkPolicyPeer[] | undefined, podsOf: (peer: NetworkPolicyPeer) => readonly PolicyPod[]): AllowedPeers | undefined {
  if (peers === undefined || peers.length === 0) return undefined;
  const addresses = new Set(peers.flatMap((peer) => (peer.ipBlock ? [] : podsOf(peer).map(({ address }) => address))));
  return { addresses: [...addresses].sort(), networks: peers.flatMap(({ ipBlock }) => networkOf(ipBlock)) };
}

function networkOf(block: NetworkPolicyPeer['ipBlock']): AllowedPeers['networks'] {
  const cidr = block ? parseIpv4Cidr(block.cidr) : undefined;
  if (!block || !cidr) return []; // of the other address family: no pod here has such an address
  return [{ cidr: formatIpv4Cidr(cidr), except: (block.except ?? []).flatMap((text) => {
    const hole = parseIpv4Cidr(text);
    return hole ? [formatIpv4Cidr(hole)] : [];
  }) }];
}

/** A port by name is another number at each pod that gives it the name. Empty: no pod has it. */
function portsAt(ports: readonly NetworkPolicyPort[] | undefined, pods: readonly PolicyPod[]): AllowedPort[] | undefined {
  if (ports === undefined || ports.length === 0) return undefined;
  return ports.flatMap(({ protocol = 'TCP', port, endPort }): AllowedPort[] => {
    const lower = protocol.toLowerCase() as AllowedPort['protocol'];
    if (typeof port !== 'string') return [{ protocol: lower, port, endPort: endPort ?? port }];
    const numbers = new Set(pods.flatMap((pod) => pod.ports.flatMap((named) => (named.name === port && named.protocol === protocol ? [named.port] : []))));
    return [...numbers].map((number) => ({ protocol: lower, port: number, endPort: number }));
  });
}

/** Where ports have names, the pods that agree on their numbers are allowed together. */
function outwardAllowances(
  to: readonly NetworkPolicyPeer[] | undefined, ports: readonly NetworkPolicyPort[] | undefined, podsOf: (peer: NetworkPolicyPeer) => readonly PolicyPod[], everyPod: readonly PolicyPod[],
): Allowance[] {
  const peers = peersOf(to, podsOf);
  const plain = ports?.filter(({ port }) => typeof port !== 'string');
  const allowances: Allowance[] = plain === undefined || plain.length > 0 || ports?.length === 0 ? [{ peers, ports: portsAt(plain, []) }] : [];
  for (const named of (ports ?? []).filter(({ port }) => typeof port === 'string')) {
    const byNumbers = new Map<string, { ports: AllowedPort[]; addresses: string[] }>();
    const candidates = to === undefined || to.length === 0 ? everyPod : [...new Set(to.filter(({ ipBlock }) => !ipBlock).flatMap((peer) => [...podsOf(peer)]))];
    for (const pod of candidates) {
      const numbers = portsAt([named], [pod]) ?? [];
      if (numbers.length === 0) continue;
      const key = numbers.map(({ port }) => port).join();
      const group = byNumbers.get(key) ?? { ports: numbers, addresses: [] };
      group.addresses.push(pod.address);
      byNumbers.set(key, group);
    }
    for (const group of byNumbers.values()) allowances.push({ peers: { addresses: group.addresses.sort(), networks: [] }, ports: group.ports });
  }
  return allowances;
}
