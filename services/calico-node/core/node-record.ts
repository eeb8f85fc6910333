// What calico-node reads of a Node, and what it writes onto its own.
import type { Node } from '#lib/kinds/types/core-v1.ts';
import { EXCLUDED_LABEL } from './load-balancer.ts';
import type { LinkAddress, NodeAddress } from './routes.ts';

export const ADDRESS_ANNOTATION = 'projectcalico.org/IPv4Address';

export function nodeAddress(node: Node): NodeAddress | undefined {
  const address = node.status?.addresses?.find(({ type, address: text }) => type === 'InternalIP' && !text.includes(':'))?.address;
  return address === undefined ? undefined : { name: node.metadata.name, address };
}

/** Keeps only what is read here: nodes carry long lists of images and conditions. */
export function leanNode(node: Node): Node {
  const { name, uid, resourceVersion, annotations, labels } = node.metadata;
  const address = annotations?.[ADDRESS_ANNOTATION];
  const excluded = labels?.[EXCLUDED_LABEL];
  return {
    metadata: {
      name, uid, resourceVersion, ...(address === undefined ? {} : { annotations: { [ADDRESS_ANNOTATION]: address } }),
      ...(excluded === undefined ? {} : { labels: { [EXCLUDED_LABEL]: excluded } }),
    },
    spec: {},
    status: {
      addresses: node.status?.addresses,
      conditions: node.status?.conditions?.flatMap((condition) =>
        (condition.type === 'NetworkUnavailable' ? [condition] : condition.type === 'Ready' ? [{ type: condition.type, status: condition.status }] : [])),
    },
  };
}

/** The address of this node with its network's prefix length, as the interface that holds it has it. */
export function addressWithPrefix(node: Node, links: readonly LinkAddress[]): string | undefined {
  const address = nodeAddress(node)?.address;
  return links.find(({ cidr }) => cidr.split('/')[0] === address)?.cidr;
}

/**
 * A strategic merge patch of the node's status that announces its address and that pods have a network; undefined when
 * it says so already. Source: Calico node startup (annotation) and SetNodeNetworkUnavailable (condition).
 */
export function nodeAnnouncement(node: Node, address: string | undefined, now: string): object | undefined {
  const known = node.metadata.annotations?.[ADDRESS_ANNOTATION];
  const condition = node.status?.conditions?.find(({ type }) => type === 'NetworkUnavailable');
  const isUp = condition?.status === 'False' && condition.reason === 'CalicoIsUp';
  const isAnnounced = address === undefined || known === address;
  if (isUp && isAnnounced) return undefined;
  return {
    ...(isAnnounced ? {} : { metadata: { annotations: { [ADDRESS_ANNOTATION]: address } } }),
    ...(isUp ? {} : { status: { conditions: [{
      type: 'NetworkUnavailable', status: 'False', reason: 'CalicoIsUp', message: 'Calico is running on this node',
      lastHeartbeatTime: now, lastTransitionTime: now,
    }] } }),
  };
}
