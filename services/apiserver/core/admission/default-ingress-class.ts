// DefaultIngressClass: an Ingress without a class gets the default one.
// Source: plugin/pkg/admission/network/defaultingressclass/admission.go.
import { ingressClassKind } from '#lib/kinds/networking/ingress-class.ts';
import type { Ingress } from '#lib/kinds/types/networking-v1.ts';
import type { ObjectReader } from '../object-reader.ts';
import { isKind, type AdmissionPlugin } from './admission.ts';
import { newestDefault } from './storage.ts';

export function defaultIngressClass(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'DefaultIngressClass',
    admit: (attributes) => {
      if (attributes.operation !== 'CREATE' || attributes.subresource !== '' || !isKind(attributes, 'networking.k8s.io', 'Ingress')) return;
      const ingress = attributes.object as Ingress;
      if (ingress.spec?.ingressClassName !== undefined || ingress.metadata.annotations?.['kubernetes.io/ingress.class'] !== undefined) return;
      const found = newestDefault(objects.listCached(ingressClassKind), ['ingressclass.kubernetes.io/is-default-class']);
      if (found) ingress.spec = { ...ingress.spec, ingressClassName: found.metadata.name };
    },
  };
}
