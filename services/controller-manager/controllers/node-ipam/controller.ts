// Gives every node a range of pod addresses (spec.podCIDRs), once and for good.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import { defineController, done, type Controller } from '#lib/controller/define-controller.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { NodeRanges } from './ranges.ts';

export interface NodeIpamSettings {
  readonly clusterCidr: string;
  readonly maskBits: number;
  readonly serviceCidrs: readonly string[];
}

export function nodeIpamController({ clusterCidr, maskBits, serviceCidrs }: NodeIpamSettings): Controller {
  const ranges = new NodeRanges(clusterCidr, maskBits, serviceCidrs);
  let hasOccupied = false;
  return defineController({
    name: 'node-ipam-controller',
    serviceAccount: 'node-controller',
    eventSource: 'cidrAllocator',
    queueName: 'node_ipam_controller',
    reconciles: nodeKind,
    isRelevantUpdate: (next) => (next.spec?.podCIDRs ?? []).length === 0,
    workers: 1, // the ranges are dealt one by one
    async reconcile({ name }, { cache, api, events }) {
      if (!hasOccupied) {
        for (const { metadata, spec } of cache.list(nodeKind)) for (const cidr of spec?.podCIDRs ?? []) if (!cidr.includes(':')) ranges.occupy(cidr, metadata.name);
        hasOccupied = true;
      }
      const node = cache.get(nodeKind, undefined, name);
      if (!node) {
        ranges.release(name);
        return done;
      }
      if ((node.spec?.podCIDRs ?? []).length > 0) {
        for (const cidr of node.spec?.podCIDRs ?? []) if (!cidr.includes(':')) ranges.occupy(cidr, name);
        return done;
      }
      const cidr = ranges.allocate(name);
      if (cidr === undefined) {
        events.event(referenceTo(node), 'Normal', 'CIDRNotAvailable', `Node ${name} status is now: CIDRNotAvailable`);
        throw new Error(`CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range`);
      }
      await api.patch(nodeKind, undefined, name, { metadata: { uid: node.metadata.uid }, spec: { podCIDR: cidr, podCIDRs: [cidr] } }, { type: 'strategic' });
      return done;
    },
  });
}
