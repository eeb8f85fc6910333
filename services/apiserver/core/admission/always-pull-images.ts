// AlwaysPullImages (off by default): every container of a pod asks the registry each time.
// Source: plugin/pkg/admission/alwayspullimages/admission.go.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { isKind, type AdmissionPlugin } from './admission.ts';

export const alwaysPullImages: AdmissionPlugin = {
  name: 'AlwaysPullImages',
  admit: (attributes) => {
    if (attributes.operation === 'DELETE' || !isKind(attributes, '', 'Pod') || !['', 'ephemeralcontainers'].includes(attributes.subresource)) return;
    const { spec } = attributes.object as Pod;
    for (const container of [...(spec?.initContainers ?? []), ...(spec?.containers ?? []), ...(spec?.ephemeralContainers ?? [])]) container.imagePullPolicy = 'Always';
  },
};
