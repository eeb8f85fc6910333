// CSINode of storage.k8s.io/v1: the storage drivers on a node.
import { duplicate, invalid, required, type FieldError } from '#lib/machinery/field-error.ts';
import { byteLength, FIELD_IS_IMMUTABLE, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { ageColumn, countColumn, nameColumn } from '../columns.ts';
import { csiDriverNameProblems } from '../core/volume-validation.ts';
import { defineKind } from '../define-kind.ts';
import type { CSINode } from '../types/storage-v1.ts';

const MAX_NODE_ID = 256;

function validateNodeId(id: string | undefined, path: string): FieldError[] {
  if (!id) return [required(path, id ?? '')];
  return byteLength(id) > MAX_NODE_ID ? [invalid(path, id, `must be ${MAX_NODE_ID} characters or less`)] : [];
}

function validate({ spec: { drivers } }: CSINode): FieldError[] {
  const names = new Set<string>();
  return drivers.flatMap(({ name, nodeID, allocatable, topologyKeys = [] }, index) => {
    const path = `spec.drivers[${index}]`;
    const errors = [...csiDriverNameProblems(name, `${path}.name`), ...validateNodeId(nodeID, `${path}.nodeID`)];
    if (allocatable?.count !== undefined && allocatable.count < 0) errors.push(invalid(`${path}.allocatable.count`, allocatable.count, 'must be greater than or equal to 0'));
    if (names.has(name)) errors.push(duplicate(`${path}.name`, name));
    names.add(name);
    topologyKeys.forEach((key, at) => {
      if (key === '') errors.push(required(`${path}.topologyKeys`));
      else if (topologyKeys.indexOf(key) < at) errors.push(duplicate(`${path}.topologyKeys`, key));
      errors.push(...checked(`${path}.topologyKeys`, key, qualifiedNameProblems));
    });
    return errors;
  });
}

export const csiNodeKind = defineKind<CSINode>({
  group: 'storage.k8s.io', version: 'v1', kind: 'CSINode', plural: 'csinodes', singular: 'csinode', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.CSINode',
  storageVersionHash: 'Pe62DkZtjuo=',
  applyDefaults: (node) => {
    // A body may leave out what the type requires.
    const spec = (node.spec ??= { drivers: [] });
    spec.drivers ??= [];
  },
  validate,
  validateUpdate: ({ spec: next }, { spec: previous }) => {
    const isSame = previous.drivers.every((old) => next.drivers.every((driver) => driver.name !== old.name || driver.nodeID === old.nodeID));
    return isSame ? [] : [invalid('spec.drivers', next.drivers, FIELD_IS_IMMUTABLE)];
  },
  allowUnconditionalUpdate: false,
  columns: [nameColumn(), countColumn('Drivers', ({ spec }) => spec.drivers.length), ageColumn()],
});
