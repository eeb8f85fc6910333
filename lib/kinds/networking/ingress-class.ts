// IngressClass of networking.k8s.io/v1: which controller serves an Ingress.
import { forbidden, notSupported, required, tooLong, type FieldError } from '#lib/machinery/field-error.ts';
import { byteLength, dnsLabelProblems, domainPrefixedPathProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, NONE, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { IngressClass, IngressClassParametersReference } from '../types/networking-v1.ts';
import { validateTypedReference } from './typed-reference.ts';

export const IS_DEFAULT_INGRESS_CLASS = 'ingressclass.kubernetes.io/is-default-class';

function parametersText({ spec: { parameters } }: IngressClass): string {
  if (parameters === undefined) return NONE;
  const { apiGroup, kind, name } = parameters;
  return `${kind}${apiGroup ? `.${apiGroup}` : ''}/${name}`;
}

const MAX_CONTROLLER = 250;

function validateParameters(parameters: IngressClassParametersReference, path: string): FieldError[] {
  const { scope, namespace } = parameters;
  const errors = validateTypedReference(parameters, path);
  if (scope === undefined) return [...errors, required(`${path}.scope`)];
  if (scope === 'Cluster') return namespace === undefined ? errors : [...errors, forbidden(`${path}.namespace`, "`parameters.scope` is set to 'Cluster'")];
  if (scope !== 'Namespace') return [...errors, notSupported(`${path}.scope`, scope, ['Cluster', 'Namespace'])];
  if (namespace === undefined) return [...errors, required(`${path}.namespace`, "`parameters.scope` is set to 'Namespace'")];
  return [...errors, ...checked(`${path}.namespace`, namespace, dnsLabelProblems)];
}

function validate({ spec: { controller, parameters } }: IngressClass): FieldError[] {
  const errors: FieldError[] = [];
  if (!controller) errors.push(required('spec.controller'));
  else {
    if (byteLength(controller) > MAX_CONTROLLER) errors.push(tooLong('spec.controller', MAX_CONTROLLER));
    errors.push(...checked('spec.controller', controller, domainPrefixedPathProblems));
  }
  return [...errors, ...(parameters === undefined ? [] : validateParameters(parameters, 'spec.parameters'))];
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
  validate,
  validateUpdate: (next, previous) => unchanged(next.spec.controller, previous.spec.controller, 'spec.controller'),
  generation: 'spec-change',
  columns: [
    { name: 'Name', type: 'string', format: 'name', value: ({ metadata }) => metadata.name + (metadata.annotations?.[IS_DEFAULT_INGRESS_CLASS] === 'true' ? ' (default)' : '') },
    textColumn('Controller', ({ spec }) => spec.controller ?? ''),
    textColumn('Parameters', parametersText),
    ageColumn(),
  ],
});
