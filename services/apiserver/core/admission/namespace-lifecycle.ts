// NamespaceLifecycle: nothing is created in a namespace that is missing or ending, and three namespaces never end.
// Source: apiserver pkg/admission/plugin/namespace/lifecycle/admission.go.
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { failure, forbidden, notFound, qualifiedResource } from '#lib/machinery/status-error.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { AdmissionAttributes, AdmissionPlugin } from './admission.ts';

const IMMORTAL: ReadonlySet<string> = new Set(['default', 'kube-system', 'kube-public']);

function beingTerminated({ kind, name, namespace }: AdmissionAttributes): Error {
  const subject = name === '' ? qualifiedResource(kind) : `${qualifiedResource(kind)} "${name}"`;
  return failure(403, 'Forbidden', `${subject} is forbidden: unable to create new content in namespace ${namespace} because it is being terminated`, {
    ...(name === '' ? {} : { name }), ...(kind.group === '' ? {} : { group: kind.group }), kind: kind.plural,
    causes: [{ reason: 'NamespaceTerminating', message: `namespace ${namespace} is being terminated`, field: 'metadata.namespace' }],
  });
}

export function namespaceLifecycle(objects: ObjectReader): AdmissionPlugin {
  return {
    name: 'NamespaceLifecycle',
    admit: async (attributes) => {
      const { operation, kind, namespace } = attributes;
      if (operation !== 'CREATE' || namespace === '') return;
      // a namespace that was created a moment ago may not have reached the memory yet
      const found = objects.cached(namespaceKind, '', namespace) ?? await objects.read(namespaceKind, '', namespace);
      if (!found) throw notFound(namespaceKind, namespace);
      const isEnding = found.metadata.deletionTimestamp !== undefined || found.status?.phase === 'Terminating';
      if (isEnding && !(kind.kind === 'LocalSubjectAccessReview')) throw beingTerminated(attributes);
    },
    validate: ({ operation, kind, name }) => {
      if (operation === 'DELETE' && kind.group === '' && kind.kind === 'Namespace' && IMMORTAL.has(name)) {
        throw forbidden(kind, name, 'this namespace may not be deleted');
      }
    },
  };
}
