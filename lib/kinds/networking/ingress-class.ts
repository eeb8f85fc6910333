// IngressClass of networking.k8s.io/v1: which controller serves an Ingress.
import { ageColumn, NONE, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { IngressClass } from '../types/networking-v1.ts';

export const IS_DEFAULT_INGRESS_CLASS = 'ingressclass.kubernetes.io/is-default-class';

function parametersText({ spec: { parameters } }: IngressClass): string {
  if (parameters === undefined) return NONE;
  const { apiGroup, kind, name } = parameters;
  return `${kind}${apiGroup ? `.${apiGroup}` : ''}/${name}`;
}

export const ingressClassKind = defineKind<IngressClass>({
  group: 'networking.k8s.io', version: 'v1', kind: 'IngressClass', plural: 'ingressclasses', singular: 'ingressclass', scope: 'Cluster',
  schema: 'io.k8s.api.networking.v1.IngressClass',
  storageVersionHash: 'l/iqIbDgFyQ=',
  applyDefaults: (ingressClass) => {
    // A body may leave out what the type requires.
    ingressClass.spec ??= {};
    const { parameters } = ingressClass.spec;
    if (parameters !== undefined) parameters.scope ??= 'Cluster';
  },
  generation: 'spec-change',
  columns: [
    { name: 'Name', type: 'string', format: 'name', value: ({ metadata }) => metadata.name + (metadata.annotations?.[IS_DEFAULT_INGRESS_CLASS] === 'true' ? ' (default)' : '') },
    textColumn('Controller', ({ spec }) => spec.controller ?? ''),
    textColumn('Parameters', parametersText),
    ageColumn(),
  ],
});
