// Keeps a ConfigMap kube-root-ca.crt in every active namespace, so that pods can check the API server's certificate.
import { defineController, done, mapped, type Controller } from '#lib/controller/define-controller.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isAlreadyExists } from '#lib/machinery/status-error.ts';
import { isNamespaceTerminating } from '../../edge/pod-control.ts';

const NAME = 'kube-root-ca.crt';
const DESCRIPTION = 'kubernetes.io/description';
const DESCRIPTION_TEXT = 'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. '
  + 'No other usage is guaranteed across distributions of Kubernetes clusters.';

export const rootCaPublisher = (rootCaPem: string): Controller => defineController({
  name: 'root-ca-certificate-publisher-controller',
  serviceAccount: 'root-ca-cert-publisher',
  queueName: 'root_ca_cert_publisher',
  reconciles: namespaceKind,
  alsoWatches: [mapped(configMapKind, ({ metadata }) => (metadata.name === NAME ? [metadata.namespace ?? ''] : []))],
  async reconcile({ name: namespace }, { cache, api }) {
    if (cache.get(namespaceKind, undefined, namespace)?.status?.phase !== 'Active') return done;
    const data = { 'ca.crt': rootCaPem };
    const existing = cache.get(configMapKind, namespace, NAME);
    if (!existing) {
      await api.create(configMapKind, { metadata: { name: NAME, namespace, annotations: { [DESCRIPTION]: DESCRIPTION_TEXT } }, data }).catch((error: unknown) => {
        if (!isAlreadyExists(error) && !isNamespaceTerminating(error)) throw error;
      });
    } else if (!semanticEqual(existing.data, data) || existing.metadata.annotations?.[DESCRIPTION] === undefined) {
      await api.update(configMapKind, { ...existing, metadata: { ...existing.metadata, annotations: { ...existing.metadata.annotations, [DESCRIPTION]: DESCRIPTION_TEXT } }, data });
    }
    return done;
  },
});
