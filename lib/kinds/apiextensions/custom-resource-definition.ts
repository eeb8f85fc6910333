// CustomResourceDefinition of apiextensions.k8s.io/v1: a kind that comes and goes while the server runs.
import { duplicate, forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsSubdomainProblems } from '#lib/machinery/names.ts';
import { nameColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { CustomResourceDefinition } from '../types/apiextensions-v1.ts';

export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';
const LABEL = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_TEXT = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

function applyDefaults(definition: CustomResourceDefinition): void {
  // A body may leave out what the type requires.
  const spec = (definition.spec ??= {} as CustomResourceDefinition['spec']);
  const names = (spec.names ??= {} as typeof spec.names);
  spec.versions ??= [];
  if (names.kind) {
    names.singular ||= names.kind.toLowerCase();
    names.listKind ||= `${names.kind}List`;
  }
  spec.conversion ??= { strategy: 'None' };
}

const labelErrors = (value: string | undefined, field: string): FieldError[] => {
  if (!value) return [required(field)];
  return LABEL.test(value.toLowerCase()) && value.length <= 63 ? [] : [invalid(field, value, LABEL_TEXT)];
};

function validate({ metadata, spec }: CustomResourceDefinition): FieldError[] {
  const { group, names, scope, versions } = spec;
  const errors: FieldError[] = [];
  const name = `${names.plural ?? ''}.${group ?? ''}`;
  if (metadata.name !== name) errors.push(invalid('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'));
  if (!group) errors.push(required('spec.group'));
  else if (dnsSubdomainProblems(group).length > 0 || !group.includes('.')) errors.push(invalid('spec.group', group, 'should be a domain with at least one dot'));
  if (scope !== 'Cluster' && scope !== 'Namespaced') errors.push(scope ? notSupported('spec.scope', scope, ['Cluster', 'Namespaced']) : required('spec.scope'));
  errors.push(...labelErrors(names.plural, 'spec.names.plural'), ...labelErrors(names.singular, 'spec.names.singular'), ...labelErrors(names.kind, 'spec.names.kind'), ...labelErrors(names.listKind, 'spec.names.listKind'));
  if (names.listKind && names.listKind === names.kind) errors.push(invalid('spec.names.listKind', names.listKind, 'kind and listKind may not be the same'));
  if (versions.length === 0) errors.push(required('spec.versions'));
  const seen = new Set<string>();
  versions.forEach((version, index) => {
    const at = `spec.versions[${index}]`;
    if (!version.name || !LABEL.test(version.name)) errors.push(invalid(`${at}.name`, version.name ?? '', LABEL_TEXT));
    if (seen.has(version.name)) errors.push(duplicate(`${at}.name`, version.name));
    seen.add(version.name);
    const root = version.schema?.openAPIV3Schema;
    if (!root) errors.push(required(`${at}.schema.openAPIV3Schema`, 'schemas are required'));
    else if (root.type !== 'object') errors.push(root.type ? invalid(`${at}.schema.openAPIV3Schema.type`, root.type, 'must be object at the root') : required(`${at}.schema.openAPIV3Schema.type`, 'must not be empty at the root'));
    const scale = version.subresources?.scale;
    if (scale && !/^\.spec\./.test(scale.specReplicasPath ?? '')) errors.push(invalid(`${at}.subresources.scale.specReplicasPath`, scale.specReplicasPath ?? '', 'should be a json path under .spec'));
    if (scale && !/^\.status\./.test(scale.statusReplicasPath ?? '')) errors.push(invalid(`${at}.subresources.scale.statusReplicasPath`, scale.statusReplicasPath ?? '', 'should be a json path under .status'));
  });
  if (versions.length > 0 && versions.filter(({ storage }) => storage).length !== 1) errors.push(invalid('spec.versions', versions.map(({ name }) => name), 'must have exactly one version marked as storage version'));
  if (spec.preserveUnknownFields) errors.push(invalid('spec.preserveUnknownFields', true, 'must be false in order to use defaults in the schema'));
  const strategy = spec.conversion?.strategy;
  if (strategy === 'Webhook') errors.push(forbidden('spec.conversion.strategy', 'conversion by webhook is not served here'));
  else if (strategy !== 'None') errors.push(strategy ? notSupported('spec.conversion.strategy', strategy, ['None', 'Webhook']) : required('spec.conversion.strategy'));
  return errors;
}

const isEstablished = ({ status }: CustomResourceDefinition): boolean => status?.conditions?.some(({ type, status: is }) => type === 'Established' && is === 'True') ?? false;

function validateUpdate(next: CustomResourceDefinition, previous: CustomResourceDefinition): FieldError[] {
  if (!isEstablished(previous)) return [];
  const fields = [['spec.group', next.spec.group, previous.spec.group], ['spec.scope', next.spec.scope, previous.spec.scope],
    ['spec.names.kind', next.spec.names.kind, previous.spec.names.kind], ['spec.names.plural', next.spec.names.plural, previous.spec.names.plural]] as const;
  return fields.filter(([, now, before]) => now !== before).map(([field, now]) => invalid(field, now, 'field is immutable'));
}

export const customResourceDefinitionKind = defineKind<CustomResourceDefinition>({
  group: 'apiextensions.k8s.io', version: 'v1', kind: 'CustomResourceDefinition', plural: 'customresourcedefinitions', singular: 'customresourcedefinition', scope: 'Cluster',
  schema: 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition',
  shortNames: ['crd', 'crds'],
  categories: ['api-extensions'],
  storageVersionHash: 'jfWCUB31mvA=',
  storagePrefix: 'apiextensions.k8s.io/customresourcedefinitions',
  subresources: { status: { verbs: ['get', 'patch', 'update'] } },
  generation: 'spec-change',
  applyDefaults,
  prepareForCreate: (definition) => {
    const stored = definition.spec.versions.find(({ storage }) => storage)?.name;
    definition.status = { storedVersions: stored === undefined ? [] : [stored] };
    const finalizers = definition.metadata.finalizers ?? [];
    if (!finalizers.includes(CLEANUP_FINALIZER)) definition.metadata.finalizers = [...finalizers, CLEANUP_FINALIZER];
  },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate,
  validateUpdate,
  columns: [nameColumn(), { name: 'Created At', type: 'date', value: ({ metadata }) => metadata.creationTimestamp ?? null }],
});
