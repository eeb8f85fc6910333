// Not of upstream: starts ingress-nginx when the first Ingress for it appears, so that an idle cluster stays small.
// It happens once: the annotation that asks for it goes with it, and whoever scales the Deployment later has the last word.
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, mapped, type Controller } from '#lib/controller/define-controller.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { ingressClassKind } from '#lib/kinds/networking/ingress-class.ts';
import { ingressKind } from '#lib/kinds/networking/ingress.ts';
import { isForNginx, started } from './plan.ts';

const NAMESPACE = 'ingress-nginx';
const NAME = 'ingress-nginx-controller';

export const ingressAddonController = (): Controller => defineController({
  name: 'ingress-addon-controller',
  serviceAccount: 'deployment-controller', // upstream's role that may change Deployments
  queueName: 'ingress_addon',
  reconciles: ingressKind,
  isRelevantUpdate: (next, previous) => next.spec?.ingressClassName !== previous.spec?.ingressClassName,
  alsoWatches: [
    mapped(deploymentKind, ({ metadata }, cache) => (metadata.namespace === NAMESPACE && metadata.name === NAME ? cache.list(ingressKind).map(keyOf) : []), { isRelevantUpdate: (next, previous) => next.metadata.annotations !== previous.metadata.annotations }),
  ],
  reads: [anyKind(ingressClassKind)],
  async reconcile({ namespace, name }, { cache, api, log }) {
    const ingress = cache.get(ingressKind, namespace, name);
    if (!ingress || !isForNginx(ingress, cache.list(ingressClassKind))) return done;
    const deployment = started(cache.get(deploymentKind, NAMESPACE, NAME));
    if (!deployment) return done;
    log.info({ ingress: `${namespace}/${name}` }, 'starting ingress-nginx for its first Ingress');
    await api.update(deploymentKind, deployment);
    return done;
  },
});
