// DefaultTolerationSeconds: pods stay five minutes on a node that has failed.
// Source: plugin/pkg/admission/defaulttolerationseconds/admission.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { AdmissionPlugin } from './admission.ts';

const TAINTS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'] as const;
const SECONDS = 300;

export const defaultTolerationSeconds: AdmissionPlugin = {
  name: 'DefaultTolerationSeconds',
  admit: ({ operation, kind, subresource, object }) => {
    if (operation === 'DELETE' || kind.kind !== 'Pod' || kind.group !== '' || subresource !== '') return;
    const { spec } = object as Pod;
    if (!spec) return;
    for (const taint of TAINTS) {
      const tolerates = (spec.tolerations ?? []).some(({ key, effect }) => (key === taint || !key) && (effect === 'NoExecute' || !effect));
      if (!tolerates) spec.tolerations = [...(spec.tolerations ?? []), { key: taint, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: SECONDS }];
    }
  },
};
