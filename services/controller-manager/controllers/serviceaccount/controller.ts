// Makes the ServiceAccount `default` in every active namespace.
import { defineController, done, mapped, type Controller } from '#lib/controller/define-controller.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import { isAlreadyExists } from '#lib/machinery/status-error.ts';
import { isNamespaceTerminating } from '../../edge/pod-control.ts';

const NAME = 'default';

export const serviceAccountController: Controller = defineController({
  name: 'serviceaccount-controller',
  serviceAccount: 'service-account-controller',
  queueName: 'serviceaccount',
  reconciles: namespaceKind,
  alsoWatches: [mapped(serviceAccountKind, ({ metadata }) => (metadata.name === NAME ? [metadata.namespace ?? ''] : []))],
  async reconcile({ name: namespace }, { cache, api }) {
    if (cache.get(namespaceKind, undefined, namespace)?.status?.phase !== 'Active') return done;
    if (cache.get(serviceAccountKind, namespace, NAME)) return done;
    await api.create(serviceAccountKind, { metadata: { name: NAME, namespace } }).catch((error: unknown) => {
      if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error;
    });
    return done;
  },
});
