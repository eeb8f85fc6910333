// APIService of apiregistration.k8s.io/v1: which server answers for a group and version.
import { invalid, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsSubdomainProblems, pathSegmentProblems } from '#lib/machinery/names.ts';
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

/** What this server answers itself is there as long as it is. */
function prepareForCreate(service: APIService): void {
  service.status = service.spec.service !== undefined ? {} : {
    conditions: [{ type: 'Available', status: 'True', lastTransitionTime: service.metadata.creationTimestamp, reason: 'Local', message: 'Local APIServices are always available' }],
  };
}

/** Source: kube-aggregator pkg/apis/apiregistration/validation. */
function validate({ metadata, spec }: APIService): FieldError[] {
  const { group = '', version = '', service } = spec;
  const errors: FieldError[] = [];
  const name = `${version}.${group}`;
  if (metadata.name !== name) errors.push(invalid('metadata.name', metadata.name, `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(name)}`));
  if (group === '') {
    if (version !== 'v1') errors.push(required('spec.group', 'only v1 may have an empty group and it better be legacy kube'));
  } else errors.push(...dnsSubdomainProblems(group).map((text) => invalid('spec.group', group, text)));
  if (!/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(version) || version.length > 63) {
    errors.push(invalid('spec.version', version, "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"));
  }
  const [groupPriority, versionPriority] = [spec.groupPriorityMinimum ?? 0, spec.versionPriority ?? 0];
  if (groupPriority <= 0 || groupPriority > 20_000) errors.push(invalid('spec.groupPriorityMinimum', groupPriority, 'must be positive and less than 20000'));
  if (versionPriority <= 0 || versionPriority > 1_000) errors.push(invalid('spec.versionPriority', versionPriority, 'must be positive and less than 1000'));
  if (service === undefined) {
    if (spec.caBundle) errors.push(invalid('spec.caBundle', `${spec.caBundle.length} bytes`, 'local APIServices may not have a caBundle'));
    if (spec.insecureSkipTLSVerify) errors.push(invalid('spec.insecureSkipTLSVerify', true, 'local APIServices may not have insecureSkipTLSVerify'));
    return errors;
  }
  if (!service.namespace) errors.push(required('spec.service.namespace'));
  if (!service.name) errors.push(required('spec.service.name'));
  if (service.port !== undefined && (service.port < 1 || service.port > 65535)) errors.push(invalid('spec.service.port', service.port, 'port is not valid: must be between 1 and 65535, inclusive'));
  if (spec.insecureSkipTLSVerify && spec.caBundle) errors.push(invalid('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present'));
  return errors;
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
  prepareForCreate,
  validate,
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
