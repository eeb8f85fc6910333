// VolumeAttachment of storage.k8s.io/v1: a volume that shall be at a node, and whether it is.
import { forbidden, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsSubdomainProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { csiDriverNameProblems } from '../core/volume-validation.ts';
import { defineKind } from '../define-kind.ts';
import { keepStatus } from '../strategy.ts';
import type { VolumeAttachment } from '../types/storage-v1.ts';

function validate({ spec: { attacher, nodeName, source } }: VolumeAttachment): FieldError[] {
  const errors = csiDriverNameProblems(attacher, 'spec.attacher');
  const { inlineVolumeSpec, persistentVolumeName: name } = source;
  if (inlineVolumeSpec === undefined && name === undefined) errors.push(required('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'));
  if (inlineVolumeSpec !== undefined && name !== undefined) errors.push(forbidden('spec.source', 'must specify exactly one of inlineVolumeSpec and persistentVolumeName'));
  if (name === '') errors.push(required('spec.source.persistentVolumeName', 'must specify non empty persistentVolumeName'));
  if (name) errors.push(...checked('spec.source.persistentVolumeName', name, dnsSubdomainProblems));
  return [...errors, ...checked('spec.nodeName', nodeName ?? '', dnsSubdomainProblems)];
}

export const volumeAttachmentKind = defineKind<VolumeAttachment>({
  group: 'storage.k8s.io', version: 'v1', kind: 'VolumeAttachment', plural: 'volumeattachments', singular: 'volumeattachment', scope: 'Cluster',
  schema: 'io.k8s.api.storage.v1.VolumeAttachment',
  storageVersionHash: 'tJx/ezt6UDU=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults: (attachment) => {
    // A body may leave out what the type requires.
    const spec = (attachment.spec ??= {} as VolumeAttachment['spec']);
    spec.source ??= {};
  },
  prepareForCreate: (attachment) => { attachment.status = { attached: false }; },
  prepareForUpdate: keepStatus,
  validate,
  validateUpdate: (next, previous) => unchanged(next.spec, previous.spec, 'spec'),
  allowUnconditionalUpdate: false,
  columns: [
    nameColumn(),
    { name: 'Attacher', type: 'string', format: 'name', value: ({ spec }) => spec.attacher ?? '' },
    textColumn('PV', ({ spec }) => spec.source.persistentVolumeName ?? ''),
    textColumn('Node', ({ spec }) => spec.nodeName ?? ''),
    { name: 'Attached', type: 'boolean', value: ({ status }) => status?.attached ?? false },
    ageColumn(),
  ],
});
