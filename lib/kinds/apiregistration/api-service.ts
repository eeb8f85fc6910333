// APIService of apiregistration.k8s.io/v1: which server answers for a group and version.
import { pathSegmentProblems } from '#lib/machinery/names.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { APIService } from '../types/apiregistration-v1.ts';

function applyDefaults(service: APIService): void {
  // A body may leave out what the type requires.
  const spec = (service.spec ??= {} as APIService['spec']);
  if (spec.service !== undefined) spec.service.port ??= 443;
}

function availableText({ status }: APIService): string {
  const available = status?.conditions?.find(({ type }) => type === 'Available');
  if (available === undefined) return 'Unknown';
  return available.status === 'True' ? 'True' : `${available.status} (${available.reason ?? ''})`;
}

export const apiServiceKind = defineKind<APIService>({
  group: 'apiregistration.k8s.io', version: 'v1', kind: 'APIService', plural: 'apiservices', singular: 'apiservice', scope: 'Cluster',
  schema: 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService',
  categories: ['api-extensions'],
  storageVersionHash: 'InPBPD7+PqM=',
  storagePrefix: 'apiregistration.k8s.io/apiservices',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForCreate: (service) => { service.status = {}; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validateName: pathSegmentProblems,
  allowUnconditionalUpdate: false,
  columns: [
    nameColumn(),
    textColumn('Service', ({ spec: { service } }) => (service === undefined ? 'Local' : `${service.namespace ?? ''}/${service.name ?? ''}`)),
    textColumn('Available', availableText),
    ageColumn(),
  ],
});
