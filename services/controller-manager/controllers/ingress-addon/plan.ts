// Whether an Ingress is one for ingress-nginx, and whether that add-on waits to be started.
import { IS_DEFAULT_INGRESS_CLASS } from '#lib/kinds/networking/ingress-class.ts';
import type { Deployment } from '#lib/kinds/types/apps-v1.ts';
import type { Ingress, IngressClass } from '#lib/kinds/types/networking-v1.ts';

export const START_ANNOTATION = 'kubreak.dev/start-on-first-ingress';
const CLASS = 'nginx';
const OLD_CLASS_ANNOTATION = 'kubernetes.io/ingress.class';

export function isForNginx({ metadata, spec }: Readonly<Ingress>, classes: readonly Readonly<IngressClass>[]): boolean {
  const named = spec?.ingressClassName ?? metadata.annotations?.[OLD_CLASS_ANNOTATION];
  if (named !== undefined) return named === CLASS;
  return classes.some((one) => one.metadata.name === CLASS && one.metadata.annotations?.[IS_DEFAULT_INGRESS_CLASS] === 'true');
}

/** The Deployment as it is to be, or undefined when it is none of our business (any more). */
export function started(deployment: Readonly<Deployment> | undefined): Deployment | undefined {
  if (!deployment || deployment.metadata.deletionTimestamp !== undefined || deployment.metadata.annotations?.[START_ANNOTATION] !== 'true' || deployment.spec.replicas !== 0) return undefined;
  const { [START_ANNOTATION]: _, ...annotations } = deployment.metadata.annotations;
  return { ...deployment, metadata: { ...deployment.metadata, annotations }, spec: { ...deployment.spec, replicas: 1 } };
}
