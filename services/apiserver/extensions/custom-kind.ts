// A CustomResourceDefinition becomes kinds as the rest of the server knows them, one for each version.
// Source: apiextensions-apiserver pkg/apiserver/customresource_handler.go, pkg/registry/customresource.
import { ageOf } from '#lib/machinery/human-duration.ts';
import { anyKind, defineKind, type AnyKind, type Column, type KubernetesObject, type ScaleRules } from '#lib/kinds/define-kind.ts';
import type { CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionVersion, CustomResourceSubresourceScale, JSONSchemaProps } from '#lib/kinds/types/apiextensions-v1.ts';
import { ageColumn, nameColumn } from '#lib/kinds/columns.ts';
import { parseLabelSelector, SelectorError } from '#lib/machinery/selectors.ts';
import { parsePath, setAt, valuesAt } from '#lib/machinery/json-path.ts';
import { definitionsOf, fillDefaults, schemaErrors, type Definitions } from './structural-schema.ts';

type Custom = KubernetesObject & { spec?: unknown; status?: unknown };

export interface CustomKind {
  readonly kind: AnyKind;
  readonly isServed: boolean;
  readonly schema: Definitions;
  /** As the definition states it; absent when it does not. */
  readonly published: JSONSchemaProps | undefined;
}

const at = (object: Custom, path: string | undefined): unknown => valuesAt(object, (path === undefined ? undefined : parsePath(path)) ?? [])[0];

const COLUMN_TYPES: Readonly<Record<string, Column<Custom>['type']>> = { string: 'string', integer: 'integer', number: 'number', boolean: 'boolean', date: 'date' };

function columnOf({ name, type, format, description, priority = 0, jsonPath }: CustomResourceColumnDefinition): Column<Custom> {
  const steps = parsePath(jsonPath) ?? [];
  return {
    name, type: COLUMN_TYPES[type] ?? 'string', priority, ...(format === undefined ? {} : { format }), ...(description === undefined ? {} : { description }),
    value: (object, nowMs) => {
      const values = valuesAt(object, steps);
      const [first] = values;
      if (first === undefined) return type === 'string' ? '' : null;
      if (type === 'date') return ageOf(String(first), nowMs);
      if (type === 'string') return values.map((one) => (typeof one === 'object' ? JSON.stringify(one) : String(one))).join(',');
      return typeof first === 'object' ? JSON.stringify(first) : first as string | number | boolean;
    },
  };
}

function scaleRules({ specReplicasPath, statusReplicasPath, labelSelectorPath }: CustomResourceSubresourceScale): ScaleRules<Custom> {
  const number = (value: unknown): number => (typeof value === 'number' ? value : 0);
  return {
    replicas: (object) => number(at(object, specReplicasPath)), currentReplicas: (object) => number(at(object, statusReplicasPath)),
    setReplicas: (object, replicas) => setAt(object, parsePath(specReplicasPath) ?? [], replicas),
    selector: (object) => selectorOf(at(object, labelSelectorPath)),
  };
}

/** The path leads to the text of a selector. */
function selectorOf(text: unknown): Record<string, string> | undefined {
  if (typeof text !== 'string' || text === '') return undefined;
  try {
    parseLabelSelector(text);
  } catch (error) {
    if (error instanceof SelectorError) return undefined;
    throw error;
  }
  return Object.fromEntries(text.split(',').map((term) => term.split('=') as [string, string]).filter((pair) => pair.length === 2));
}

/** `serial`: never used before; definitions are remembered by name. */
export function customKinds(definition: Readonly<CustomResourceDefinition>, serial: number): CustomKind[] {
  const { spec } = definition;
  const { names } = spec;
  const stored = spec.versions.find(({ storage }) => storage);
  if (!stored) return [];

  const make = (version: CustomResourceDefinitionVersion, storedKind: AnyKind | undefined): CustomKind => {
    const root = version.schema?.openAPIV3Schema ?? { type: 'object' };
    const name = `custom.${serial}.${version.name}.${names.kind}`;
    const apiVersion = `${spec.group}/${version.name}`;
    const { subresources = {} } = version;
    const checked = { ...root, properties: Object.fromEntries(Object.entries(root.properties ?? {}).filter(([field]) => !['metadata', 'apiVersion', 'kind'].includes(field))) };
    const columns = version.additionalPrinterColumns ?? [];
    const kind = defineKind<Custom>({
      group: spec.group, version: version.name, kind: names.kind, plural: names.plural, scope: spec.scope === 'Cluster' ? 'Cluster' : 'Namespaced', schema: name,
      ...(names.singular === undefined ? {} : { singular: names.singular }), ...(names.listKind === undefined ? {} : { listKind: names.listKind }),
      shortNames: names.shortNames ?? [], categories: names.categories ?? [], storagePrefix: `${spec.group}/${names.plural}`,
      subresources: {
        ...(subresources.scale ? { scale: { verbs: ['get', 'patch', 'update'], kind: 'Scale', group: 'autoscaling', version: 'v1' } } : {}),
        ...(subresources.status ? { status: { verbs: ['get', 'patch', 'update'] } } : {}),
      },
      ...(subresources.scale ? { scale: scaleRules(subresources.scale) } : {}),
      applyDefaults: (object) => {
        object.apiVersion = apiVersion;
        object.kind = names.kind;
        fillDefaults(object, checked);
      },
      prepareForCreate: (object) => {
        if (subresources.status) delete object.status;
      },
      validate: (object) => schemaErrors(object, checked, ''),
      validateStatusUpdate: (object) => schemaErrors(object, checked, ''),
      generation: 'spec-change',
      allowUnconditionalUpdate: false,
      isCustom: true,
      columns: [nameColumn<Custom>(), ...(columns.length > 0 ? columns.map(columnOf) : [ageColumn<Custom>()])],
      ...(version.deprecated ? { deprecation: version.deprecationWarning ?? `${apiVersion} ${names.kind} is deprecated` } : {}),
      ...(storedKind ? { storedAs: {
        kind: storedKind, toStored: (object) => ({ ...object, apiVersion: storedKind.apiVersion }), fromStored: (object) => ({ ...object, apiVersion } as Custom),
      } } : {}),
    });
    return { kind: anyKind(kind), isServed: version.served, schema: definitionsOf(root, name), published: version.schema?.openAPIV3Schema };
  };
  const base = make(stored, undefined);
  return [base, ...spec.versions.filter((version) => version !== stored).map((version) => make(version, base.kind))];
}
