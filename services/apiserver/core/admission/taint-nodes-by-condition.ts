// TaintNodesByCondition: a new node takes no pods until it has been seen ready.
// Source: plugin/pkg/admission/nodetaint/admission.go.
import type { Node } from '#lib/kinds/types/core-v1.ts';
import type { AdmissionPlugin } from './admission.ts';

const NOT_READY = 'node.kubernetes.io/not-ready';

export const taintNodesByCondition: AdmissionPlugin = {
  name: 'TaintNodesByCondition',
  admit: ({ operation, kind, subresource, object }) => {
    if (operation !== 'CREATE' || kind.kind !== 'Node' || kind.group !== '' || subresource !== '') return;
    const node = object as Node;
    const taints = node.spec?.taints ?? [];
    if (taints.some(({ key, effect }) => key === NOT_READY && effect === 'NoSchedule')) return;
    node.spec = { ...node.spec, taints: [...taints, { key: NOT_READY, effect: 'NoSchedule' }] };
  },
};
