// Objects as rows of a meta.k8s.io/v1 Table, the form in which `kubectl get` asks for them.
// Source: apiserver pkg/registry/rest/table.go, pkg/endpoints/handlers/response.go.
import type { AnyKind, Column, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { badRequest } from '#lib/machinery/status-error.ts';

export type IncludeObject = 'Metadata' | 'None' | 'Object';

export function parseIncludeObject(value: string | null): IncludeObject {
  if (value === null || value === '') return 'Metadata';
  if (value === 'Metadata' || value === 'None' || value === 'Object') return value;
  throw badRequest(`unrecognized includeObject value: "${value}"`);
}

const DEFAULT_COLUMNS: readonly Column<KubernetesObject>[] = [
  { name: 'Name', type: 'string', format: 'name', value: ({ metadata }) => metadata.name },
  { name: 'Created At', type: 'date', value: ({ metadata }) => metadata.creationTimestamp ?? null },
];

const columnsOf = (kind: AnyKind): readonly Column<KubernetesObject>[] => kind.columns ?? DEFAULT_COLUMNS;

export function columnDefinitions(kind: AnyKind): unknown[] {
  return columnsOf(kind).map(({ name, type, format, description, priority }) => ({
    name, type, format: format ?? '', description: description ?? '', priority: priority ?? 0,
  }));
}

export function partialMetadata({ metadata }: KubernetesObject, apiVersion = 'meta.k8s.io/v1'): unknown {
  return { kind: 'PartialObjectMetadata', apiVersion, metadata };
}

export interface TableOptions {
  readonly includeObject: IncludeObject;
  readonly nowMs: number;
  /** `meta.k8s.io/v1` or v1beta1, as asked for. */
  readonly apiVersion: string;
}

export function tableRows(kind: AnyKind, objects: readonly KubernetesObject[], { includeObject, nowMs, apiVersion }: TableOptions): unknown[] {
  const columns = columnsOf(kind);
  return objects.map((object) => ({
    cells: columns.map(({ value }) => value(object, nowMs)),
    ...(kind.rowConditions && kind.rowConditions(object).length > 0 ? { conditions: kind.rowConditions(object) } : {}),
    object: includeObject === 'None' ? null : includeObject === 'Object' ? object : partialMetadata(object, apiVersion),
  }));
}

export function table(kind: AnyKind, objects: readonly KubernetesObject[], metadata: unknown, options: TableOptions, withColumns = true): unknown {
  return {
    kind: 'Table', apiVersion: options.apiVersion, metadata,
    columnDefinitions: withColumns ? columnDefinitions(kind) : [], rows: tableRows(kind, objects, options),
  };
}
