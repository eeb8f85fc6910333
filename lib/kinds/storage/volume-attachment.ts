// VolumeAttachment of storage.k8s.io/v1: a volume that shall be at a node, and whether it is.
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepStatus } from '../strategy.ts';
import type { VolumeAttachment } from '../types/storage-v1.ts';

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
