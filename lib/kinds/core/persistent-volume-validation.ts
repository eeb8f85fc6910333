// Checks of PersistentVolumes. Source: pkg/apis/core/validation.
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsLabelProblems, dnsSubdomainProblems } from '#lib/machinery/names.ts';
import { checked, unchanged } from '#lib/machinery/object-meta.ts';
import type { CSIPersistentVolumeSource, LocalVolumeSource, PersistentVolume, PersistentVolumeSpec, SecretReference } from '../types/core-v1.ts';
import { validateAccessModes, validateClassName, validatePositive, validateVolumeMode } from './claim-validation.ts';
import { validateNodeSelector } from './scheduling-validation.ts';
import { goDiff } from './spec-diff.ts';
import { csiDriverNameProblems, validateHostPath, validateNfs } from './volume-validation.ts';

const RECLAIM_POLICIES = ['Delete', 'Recycle', 'Retain'];

function validateSecretReference(reference: SecretReference | undefined, path: string): FieldError[] {
  if (reference === undefined) return [];
  const { name, namespace } = reference;
  return [
    ...(name ? checked(`${path}.name`, name, dnsSubdomainProblems) : [required(`${path}.name`)]),
    ...(namespace ? checked(`${path}.namespace`, namespace, dnsLabelProblems) : [required(`${path}.namespace`)]),
  ];
}

function validateCsi(source: CSIPersistentVolumeSource, path: string): FieldError[] {
  const secrets = ['controllerPublishSecretRef', 'controllerExpandSecretRef', 'nodePublishSecretRef', 'nodeStageSecretRef', 'nodeExpandSecretRef'] as const;
  return [
    ...csiDriverNameProblems(source.driver, `${path}.driver`),
    ...(source.volumeHandle ? [] : [required(`${path}.volumeHandle`)]),
    ...secrets.flatMap((name) => validateSecretReference(source[name], `${path}.${name}`)),
  ];
}

function validateLocal({ path: target }: LocalVolumeSource, path: string): FieldError[] {
  if (!target) return [required(`${path}.path`)];
  return target.split('/').includes('..') ? [invalid(`${path}.path`, target, "must not contain '..'")] : [];
}

/** In upstream's order: the second source in it is the one that is too many. */
const SOURCES = [
  'hostPath', 'gcePersistentDisk', 'awsElasticBlockStore', 'glusterfs', 'flocker', 'nfs', 'rbd', 'quobyte', 'cephfs', 'iscsi', 'cinder', 'fc', 'flexVolume', 'azureFile',
  'vsphereVolume', 'photonPersistentDisk', 'portworxVolume', 'azureDisk', 'scaleIO', 'local', 'storageos', 'csi',
] as const satisfies readonly (keyof PersistentVolumeSpec)[];

function validateSource(spec: PersistentVolumeSpec, path: string): FieldError[] {
  const [first, ...others] = SOURCES.filter((name) => spec[name] !== undefined);
  if (first === undefined) return [required(path, 'must specify a volume type')];
  const errors: FieldError[] = [];
  if (first === 'hostPath' && spec.hostPath !== undefined) errors.push(...validateHostPath(spec.hostPath, `${path}.hostPath`));
  if (first === 'nfs' && spec.nfs !== undefined) errors.push(...validateNfs(spec.nfs, `${path}.nfs`));
  if (first === 'local' && spec.local !== undefined) errors.push(...validateLocal(spec.local, `${path}.local`));
  if (first === 'csi' && spec.csi !== undefined) errors.push(...validateCsi(spec.csi, `${path}.csi`));
  if (spec.local !== undefined && spec.nodeAffinity === undefined) errors.push(required(`${path}.nodeAffinity`, 'Local volume requires node affinity'));
  return [...errors, ...others.map((name) => forbidden(`${path}.${name}`, 'may not specify more than 1 volume type'))];
}

function validateCapacity(capacity: Readonly<Record<string, string>>, path: string): FieldError[] {
  const names = Object.keys(capacity);
  const errors: FieldError[] = names.length === 0 ? [required(path)] : [];
  if (names.length !== 1 || names[0] !== 'storage') errors.push(notSupported(path, capacity, ['storage']));
  return [...errors, ...Object.entries(capacity).flatMap(([name, amount]) => validatePositive(amount, `${path}[${name}]`))];
}

function validateAffinity({ nodeAffinity }: PersistentVolumeSpec, path: string): FieldError[] {
  if (nodeAffinity === undefined) return [];
  if (nodeAffinity.required === undefined) return [required(`${path}.required`, 'must specify required node constraints')];
  return validateNodeSelector(nodeAffinity.required, `${path}.required`);
}

const isRoot = (path: string | undefined): boolean => path !== undefined && path.startsWith('/') && path.split('/').every((part) => part === '' || part === '.' || part === '..');

export function validateVolume({ spec }: PersistentVolume): FieldError[] {
  const path = 'spec';
  const { accessModes = [], persistentVolumeReclaimPolicy: policy, volumeAttributesClassName: attributes } = spec;
  const errors: FieldError[] = [
    ...(accessModes.length === 0 ? [required(`${path}.accessModes`)] : []),
    ...validateAccessModes(accessModes, `${path}.accessModes`),
    ...validateCapacity(spec.capacity ?? {}, `${path}.capacity`),
    ...(policy && !RECLAIM_POLICIES.includes(policy) ? [notSupported(`${path}.persistentVolumeReclaimPolicy`, policy, RECLAIM_POLICIES)] : []),
    ...validateAffinity(spec, `${path}.nodeAffinity`),
    ...validateSource(spec, path),
  ];
  if (isRoot(spec.hostPath?.path) && policy === 'Recycle') errors.push(forbidden(`${path}.persistentVolumeReclaimPolicy`, "may not be 'recycle' for a hostPath mount of '/'"));
  errors.push(...validateClassName(spec.storageClassName, `${path}.storageClassName`), ...validateVolumeMode(spec.volumeMode, `${path}.volumeMode`));
  if (attributes !== undefined) {
    if (attributes === '') errors.push(required(`${path}.volumeAttributesClassName`, 'an empty string is disallowed'));
    else errors.push(...checked(`${path}.volumeAttributesClassName`, attributes, dnsSubdomainProblems));
    if (spec.csi === undefined) errors.push(required(`${path}.csi`, 'has to be specified when using volumeAttributesClassName'));
  }
  return errors;
}

const sourceOf = (spec: PersistentVolumeSpec): object => Object.fromEntries(SOURCES.filter((name) => spec[name] !== undefined).map((name) => [name, spec[name]]));

export function validateVolumeUpdate({ spec: next }: PersistentVolume, { spec: previous }: PersistentVolume): FieldError[] {
  const [own, old] = [sourceOf(next), sourceOf(previous)];
  const errors: FieldError[] = semanticEqual(own, old) ? []
    : [forbidden('spec.persistentvolumesource', `spec.persistentvolumesource is immutable after creation\n${goDiff(old, own, 'core.PersistentVolumeSource')}`)];
  errors.push(...unchanged(next.volumeMode, previous.volumeMode, 'volumeMode'));
  if (previous.volumeAttributesClassName !== undefined && next.volumeAttributesClassName === undefined) {
    errors.push(forbidden('spec.volumeAttributesClassName', 'update from non-nil value to nil is forbidden'));
  }
  // Where it may be used can be said later, once.
  if (previous.nodeAffinity !== undefined && !semanticEqual(next.nodeAffinity, previous.nodeAffinity)) {
    errors.push(invalid('spec.nodeAffinity', next.nodeAffinity ?? null, 'field is immutable, except for updating from beta label to GA'));
  }
  return errors;
}
