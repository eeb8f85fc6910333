// DefaultTolerationSeconds: pods stay five minutes, or what flags say, on a node that has failed.
// Source: plugin/pkg/admission/defaulttolerationseconds/admission.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { AdmissionPlugin } from './admission.ts';

/** How long pods stay that do not say it themselves; seconds. */
export interface DefaultTolerations {
  readonly notReadySeconds: number;
  readonly unreachableSeconds: number;
}

export const defaultTolerationSeconds = ({ notReadySeconds, unreachableSeconds }: DefaultTolerations): AdmissionPlugin => ({
  name: 'DefaultTolerationSeconds',
  admit: ({ operation, kind, subresource, object }) => {
    if (operation === 'DELETE' || kind.kind !== 'Pod' || kind.group !== '' || subresource !== '') return;
    const { spec } = object as Pod;
    if (!spec) return;
    for (const [taint, tolerationSeconds] of [['node.kubernetes.io/not-ready', notReadySeconds], ['node.kubernetes.io/unreachable', unreachableSeconds]] as const) {
      const tolerates = (spec.tolerations ?? []).some(({ key, effect }) => (key === taint || !key) && (effect === 'NoExecute' || !effect));
      if (!tolerates) spec.tolerations = [...(spec.tolerations ?? []), { key: taint, operator: 'Exists', effect: 'NoExecute', tolerationSeconds }];
    }
  },
});
