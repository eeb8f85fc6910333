// CSIDriver of storage.k8s.io/v1: what a storage driver wants of the cluster.
import { duplicate, invalid, notSupported, type FieldError } from '#lib/machinery/field-error.ts';
import { unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, joined, nameColumn, orNone, textColumn } from '../columns.ts';
import { csiDriverNameProblems } from '../core/volume-validation.ts';
import { defineKind } from '../define-kind.ts';
import type { CSIDriver, CSIDriverSpec } from '../types/storage-v1.ts';

function applyDefaults(driver: CSIDriver): void {
  // A body may leave out what the type requires.
  const spec = (driver.spec ??= {});
  spec.attachRequired ??= true;
  spec.podInfoOnMount ??= false;
  spec.storageCapacity ??= false;
  spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
  if ((spec.volumeLifecycleModes ?? []).length === 0) spec.volumeLifecycleModes = ['Persistent'];
  spec.requiresRepublish ??= false;
  spec.seLinuxMount ??= false;
}

const FS_GROUP_POLICIES = ['File', 'None', 'ReadWriteOnceWithFSType'];
const LIFECYCLE_MODES = ['Ephemeral', 'Persistent'];
const TEN_MINUTES_SECONDS = 600;

function validateTokenRequests({ tokenRequests = [] }: CSIDriverSpec): FieldError[] {
  const audiences = new Set<string>();
  return tokenRequests.flatMap(({ audience = '', expirationSeconds }, index) => {
    const path = `spec.tokenRequests[${index}]`;
    const errors: FieldError[] = audiences.has(audience) ? [duplicate(`${path}.audience`, audience)] : [];
    audiences.add(audience);
    if (expirationSeconds !== undefined && expirationSeconds < TEN_MINUTES_SECONDS) errors.push(invalid(`${path}.expirationSeconds`, expirationSeconds, 'may not specify a duration less than 10 minutes'));
    if (expirationSeconds !== undefined && expirationSeconds > 2 ** 32) errors.push(invalid(`${path}.expirationSeconds`, expirationSeconds, 'may not specify a duration larger than 2^32 seconds'));
    return errors;
  });
}

function validate({ metadata, spec }: CSIDriver): FieldError[] {
  const { fsGroupPolicy, volumeLifecycleModes = [] } = spec;
  return [
    ...csiDriverNameProblems(metadata.name, 'metadata.name'),
    ...validateTokenRequests(spec),
    ...(fsGroupPolicy !== undefined && !FS_GROUP_POLICIES.includes(fsGroupPolicy) ? [notSupported('spec.fsGroupPolicy', fsGroupPolicy, FS_GROUP_POLICIES)] : []),
    ...volumeLifecycleModes.flatMap((mode) => (LIFECYCLE_MODES.includes(mode) ? [] : [notSupported('spec.volumeLifecycleModes', mode, LIFECYCLE_MODES)])),
  ];
}

const tokensText = ({ tokenRequests }: CSIDriverSpec): string => (tokenRequests === undefined ? '<unset>' : joined(tokenRequests.map(({ audience }) => audience)));

export const csiDriverKind = defineKind<CSIDriver>({
  group: 'storage.k8s.io', version: 'v1', kind: 'CSIDriver', plural: 'csidrivers', singular: 'csidriver', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.CSIDriver',
  storageVersionHash: 'hL6j/rwBV5w=',
  applyDefaults,
  validate,
  validateUpdate: ({ spec: next }, { spec: previous }) => [
    ...unchanged(next.attachRequired, previous.attachRequired, 'spec.attachedRequired'),
    ...unchanged(next.volumeLifecycleModes, previous.volumeLifecycleModes, 'spec.volumeLifecycleModes'),
  ],
  allowUnconditionalUpdate: false,
  columns: [
    nameColumn(),
    { name: 'AttachRequired', type: 'boolean', value: ({ spec }) => spec.attachRequired ?? true },
    { name: 'PodInfoOnMount', type: 'boolean', value: ({ spec }) => spec.podInfoOnMount ?? false },
    { name: 'StorageCapacity', type: 'boolean', value: ({ spec }) => spec.storageCapacity ?? false },
    textColumn('TokenRequests', ({ spec }) => tokensText(spec)),
    { name: 'RequiresRepublish', type: 'boolean', value: ({ spec }) => spec.requiresRepublish ?? false },
    textColumn('Modes', ({ spec }) => orNone(joined(spec.volumeLifecycleModes))),
    ageColumn(),
  ],
});
