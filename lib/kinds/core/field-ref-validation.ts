// Checks of references to the pod's own fields and resources (downward API). Source: pkg/apis/core/validation, pkg/apis/core/pods.
import { invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { qualifiedNameProblems } from '#lib/machinery/names.ts';
import { compareQuantities } from '#lib/machinery/quantity.ts';
import type { ObjectFieldSelector, ResourceFieldSelector } from '../types/core-v1.ts';

export const ENVIRONMENT_FIELD_PATHS = [
  'metadata.name', 'metadata.namespace', 'metadata.uid', 'spec.nodeName', 'spec.serviceAccountName', 'status.hostIP', 'status.hostIPs', 'status.podIP', 'status.podIPs',
];
export const VOLUME_FIELD_PATHS = ['metadata.annotations', 'metadata.labels', 'metadata.name', 'metadata.namespace', 'metadata.uid'];

/** Labels that can be converted at all, whether or not they are allowed in a place. */
const CONVERTIBLE = new Set([
  ...ENVIRONMENT_FIELD_PATHS, ...VOLUME_FIELD_PATHS, 'spec.restartPolicy', 'spec.schedulerName', 'status.phase', 'status.nominatedNodeName', 'spec.host',
]);

export function validateFieldRef({ apiVersion, fieldPath }: ObjectFieldSelector, allowed: readonly string[], path: string): FieldError[] {
  const errors: FieldError[] = apiVersion ? [] : [required(`${path}.apiVersion`)];
  if (!fieldPath) return [...errors, required(`${path}.fieldPath`)];
  const subscripted = /^(.*)\['(.*)'\]$/s.exec(fieldPath);
  if (subscripted) {
    const [, field = '', key = ''] = subscripted;
    if (field === 'metadata.annotations' || field === 'metadata.labels') {
      const name = field === 'metadata.annotations' ? key.toLowerCase() : key;
      return [...errors, ...qualifiedNameProblems(name).map((text) => invalid(path, key, text))];
    }
    if (!CONVERTIBLE.has(field)) return [...errors, invalid(`${path}.fieldPath`, fieldPath, `error converting fieldPath: field label does not support subscript: ${field}`)];
    return [...errors, invalid(path, field, 'does not support subscript')];
  }
  if (!CONVERTIBLE.has(fieldPath)) return [...errors, invalid(`${path}.fieldPath`, fieldPath, `error converting fieldPath: field label not supported: ${fieldPath}`)];
  return allowed.includes(fieldPath) ? errors : [...errors, notSupported(`${path}.fieldPath`, fieldPath, allowed)];
}

const RESOURCES = ['limits.cpu', 'limits.ephemeral-storage', 'limits.memory', 'requests.cpu', 'requests.ephemeral-storage', 'requests.memory'];
const BYTE_DIVISORS = ['1', '1k', '1M', '1G', '1T', '1P', '1E', '1Ki', '1Mi', '1Gi', '1Ti', '1Pi', '1Ei'];

function validateDivisor(resource: string, divisor: string | undefined, path: string): FieldError[] {
  if (divisor === undefined || divisor === '0') return [];
  const isCpu = resource.endsWith('.cpu');
  const allowed = isCpu ? ['1m', '1'] : BYTE_DIVISORS;
  if (allowed.some((one) => compareQuantities(one, divisor) === 0)) return [];
  const name = resource.includes('hugepages-') ? 'hugepages' : resource.endsWith('.memory') ? 'memory' : 'local ephemeral storage';
  return [invalid(`${path}.divisor`, divisor, isCpu
    ? "only divisor's values 1m and 1 are supported with the cpu resource"
    : `only divisor's values ${BYTE_DIVISORS.join(', ')} are supported with the ${name} resource`)];
}

export function validateResourceFieldRef({ containerName, resource, divisor }: ResourceFieldSelector, path: string, { needsContainer }: { readonly needsContainer: boolean }): FieldError[] {
  if (needsContainer && !containerName) return [required(`${path}.containerName`)];
  if (!resource) return [required(`${path}.resource`)];
  const isHugePages = /^(limits|requests)\.hugepages-/.test(resource);
  if (!RESOURCES.includes(resource) && !isHugePages) return [notSupported(`${path}.resource`, resource, RESOURCES)];
  return validateDivisor(resource, divisor, path);
}
