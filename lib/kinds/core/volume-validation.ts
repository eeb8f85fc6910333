// Checks of a pod's volumes. Source: pkg/apis/core/validation (ValidateVolumes).
import { duplicate, forbidden, invalid, notSupported, required, tooLong, type FieldError } from '#lib/machinery/field-error.ts';
import { byteLength, dnsLabelProblems, dnsSubdomainProblems, outsideRange } from '#lib/machinery/names.ts';
import { checked, validateAnnotations, validateLabels } from '#lib/machinery/object-meta.ts';
import { parseQuantity } from '#lib/machinery/quantity.ts';
import type {
  DownwardAPIVolumeFile, HostPathVolumeSource, KeyToPath, NFSVolumeSource, PersistentVolumeClaimTemplate, ProjectedVolumeSource, Volume, VolumeProjection,
} from '../types/core-v1.ts';
import { validateClaimSpec } from './claim-validation.ts';
import { validateFieldRef, validateResourceFieldRef, VOLUME_FIELD_PATHS } from './field-ref-validation.ts';

const FILE_MODE = 'must be a number between 0 and 0777 (octal), both inclusive';
const HOST_PATH_TYPES = ['', 'BlockDevice', 'CharDevice', 'Directory', 'DirectoryOrCreate', 'File', 'FileOrCreate', 'Socket'];
const TEN_MINUTES_SECONDS = 600;

function validateMode(mode: number | undefined, path: string): FieldError[] {
  return mode !== undefined && (mode < 0 || mode > 0o777) ? [invalid(path, mode, FILE_MODE)] : [];
}
function validateNoBacksteps(target: string, path: string): FieldError[] {
  return target.split('/').includes('..') ? [invalid(path, target, "must not contain '..'")] : [];
}
/** A path that stays below where it is mounted. */
export function validateDescendingPath(target: string, path: string): FieldError[] {
  return [...(target.startsWith('/') ? [invalid(path, target, 'must be a relative path')] : []), ...validateNoBacksteps(target, path)];
}
function validateOwnPath(target: string, path: string): FieldError[] {
  return [...validateDescendingPath(target, path), ...(target.startsWith('..') && !target.split('/').includes('..') ? [invalid(path, target, "must not start with '..'")] : [])];
}

function validateItems(items: readonly KeyToPath[] | undefined, path: string): FieldError[] {
  return (items ?? []).flatMap(({ key, path: target, mode }, index) => [
    ...(key ? [] : [required(`${path}[${index}].key`)]),
    ...(target ? validateOwnPath(target, `${path}[${index}].path`) : [required(`${path}[${index}].path`)]),
    ...validateMode(mode, `${path}[${index}].mode`),
  ]);
}

function validateDownwardFile(file: DownwardAPIVolumeFile, path: string): FieldError[] {
  const errors: FieldError[] = file.path ? validateOwnPath(file.path, `${path}.path`) : [required(`${path}.path`)];
  if (file.fieldRef !== undefined) {
    errors.push(...validateFieldRef(file.fieldRef, VOLUME_FIELD_PATHS, `${path}.fieldRef`));
    if (file.resourceFieldRef !== undefined) errors.push(invalid(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously'));
  } else if (file.resourceFieldRef !== undefined) {
    errors.push(...validateResourceFieldRef(file.resourceFieldRef, `${path}.resourceFieldRef`, { needsContainer: true }));
  } else {
    errors.push(required(path, 'one of fieldRef and resourceFieldRef is required'));
  }
  return [...errors, ...validateMode(file.mode, `${path}.mode`)];
}

function validateProjection(source: VolumeProjection, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const kinds = (['secret', 'configMap', 'downwardAPI', 'serviceAccountToken', 'clusterTrustBundle', 'podCertificate'] as const).filter((one) => source[one] !== undefined);
  if (source.secret !== undefined) {
    if (!source.secret.name) errors.push(required(`${path}.secret.name`));
    errors.push(...validateItems(source.secret.items, `${path}.secret.items`));
  }
  if (source.configMap !== undefined) {
    if (!source.configMap.name) errors.push(required(`${path}.configMap.name`));
    errors.push(...validateItems(source.configMap.items, `${path}.configMap.items`));
  }
  (source.downwardAPI?.items ?? []).forEach((file, index) => errors.push(...validateDownwardFile(file, `${path}.downwardAPI.items[${index}]`)));
  if (source.serviceAccountToken !== undefined) {
    const { expirationSeconds = 3600, path: target } = source.serviceAccountToken;
    if (expirationSeconds < TEN_MINUTES_SECONDS) errors.push(invalid(`${path}.serviceAccountToken.expirationSeconds`, expirationSeconds, 'may not specify a duration less than 10 minutes'));
    if (expirationSeconds > 2 ** 32) errors.push(invalid(`${path}.serviceAccountToken.expirationSeconds`, expirationSeconds, 'may not specify a duration larger than 2^32 seconds'));
    if (!target) errors.push(required(`${path.slice(0, path.lastIndexOf('.sources'))}.path`));
  }
  if (kinds.length > 1) errors.push(forbidden(path, 'may not specify more than 1 volume type per source'));
  return errors;
}

function pathsOf({ secret, configMap, downwardAPI, serviceAccountToken }: VolumeProjection): string[] {
  return [...[secret, configMap, downwardAPI].flatMap((one) => (one?.items ?? []).map(({ path }) => path)), ...(serviceAccountToken?.path ? [serviceAccountToken.path] : [])];
}

function validateProjected(projected: ProjectedVolumeSource, path: string): FieldError[] {
  const errors = validateMode(projected.defaultMode, `${path}.defaultMode`);
  const paths = new Set<string>();
  (projected.sources ?? []).forEach((source, index) => {
    errors.push(...validateProjection(source, `${path}.sources[${index}]`));
    for (const target of pathsOf(source)) {
      if (paths.has(target)) errors.push(invalid(path, target, 'conflicting duplicate paths'));
      paths.add(target);
    }
  });
  return errors;
}

export function validateHostPath({ path: target, type = '' }: HostPathVolumeSource, path: string): FieldError[] {
  return [
    ...(target ? validateNoBacksteps(target, `${path}.path`) : [required(`${path}.path`)]),
    ...(HOST_PATH_TYPES.includes(type) ? [] : [notSupported(`${path}.type`, type, HOST_PATH_TYPES)]),
  ];
}
export function validateNfs({ server, path: target }: NFSVolumeSource, path: string): FieldError[] {
  return [
    ...(server ? [] : [required(`${path}.server`)]),
    ...(target ? [] : [required(`${path}.path`)]),
    ...(target?.startsWith('/') ? [] : [invalid(`${path}.path`, target ?? '', 'must be an absolute path')]),
  ];
}
export function csiDriverNameProblems(driver: string | undefined, path: string): FieldError[] {
  if (!driver) return [required(path)];
  return [...(byteLength(driver) > 63 ? [tooLong(path, 63)] : []), ...checked(path, driver.toLowerCase(), dnsSubdomainProblems)];
}

type Sources = Omit<Volume, 'name'>;
type Checks = { readonly [K in keyof Sources]?: (source: NonNullable<Sources[K]>, path: string) => FieldError[] };

/** In upstream's order: the second source in it is the one that is too many. */
const SOURCES: readonly (keyof Sources)[] = [
  'emptyDir', 'hostPath', 'gitRepo', 'gcePersistentDisk', 'awsElasticBlockStore', 'secret', 'nfs', 'iscsi', 'glusterfs', 'flocker', 'persistentVolumeClaim',
  'rbd', 'cinder', 'cephfs', 'quobyte', 'downwardAPI', 'fc', 'flexVolume', 'configMap', 'azureFile', 'vsphereVolume', 'photonPersistentDisk',
  'portworxVolume', 'azureDisk', 'storageos', 'projected', 'scaleIO', 'csi', 'ephemeral', 'image',
];

const CHECKS: Checks = {
  emptyDir: ({ sizeLimit }, path) =>
    (sizeLimit !== undefined && parseQuantity(sizeLimit).nanos < 0n ? [forbidden(`${path}.sizeLimit`, 'SizeLimit field must be a valid resource quantity')] : []),
  hostPath: validateHostPath,
  secret: ({ secretName, defaultMode, items }, path) => [
    ...(secretName ? [] : [required(`${path}.secretName`)]), ...validateMode(defaultMode, `${path}.defaultMode`), ...validateItems(items, `${path}.items`),
  ],
  configMap: ({ name, defaultMode, items }, path) => [
    ...(name ? [] : [required(`${path}.name`)]), ...validateMode(defaultMode, `${path}.defaultMode`), ...validateItems(items, `${path}.items`),
  ],
  downwardAPI: ({ defaultMode, items }, path) => [
    ...validateMode(defaultMode, `${path}.defaultMode`), ...(items ?? []).flatMap((file, index) => validateDownwardFile(file, `${path}.items[${index}]`)),
  ],
  projected: validateProjected,
  persistentVolumeClaim: ({ claimName }, path) => (claimName ? [] : [required(`${path}.claimName`)]),
  nfs: validateNfs,
  iscsi: ({ targetPortal, iqn, lun }, path) => [
    ...(targetPortal ? [] : [required(`${path}.targetPortal`)]),
    ...(iqn ? (/^(iqn|eui|naa)\./.test(iqn) ? [] : [invalid(`${path}.iqn`, iqn, 'must be valid format')]) : [required(`${path}.iqn`)]),
    ...(lun !== undefined && (lun < 0 || lun > 255) ? [invalid(`${path}.lun`, lun, outsideRange(0, 255))] : []),
  ],
  gitRepo: ({ repository, directory = '' }, path) => [...(repository ? [] : [required(`${path}.repository`)]), ...validateOwnPath(directory, `${path}.directory`)],
  csi: ({ driver, nodePublishSecretRef }, path) => [
    ...csiDriverNameProblems(driver, `${path}.driver`),
    ...(nodePublishSecretRef !== undefined && !nodePublishSecretRef.name ? [required(`${path}.nodePublishSecretRef.name`)] : []),
  ],
  ephemeral: ({ volumeClaimTemplate }, path) => {
    if (volumeClaimTemplate === undefined) return [required(`${path}.volumeClaimTemplate`)];
    const { metadata, spec } = volumeClaimTemplate as PersistentVolumeClaimTemplate;
    const at = `${path}.volumeClaimTemplate`;
    return [
      ...validateLabels(metadata?.labels, `${at}.metadata.labels`), ...validateAnnotations(metadata?.annotations, `${at}.metadata.annotations`),
      ...validateClaimSpec(spec ?? {}, `${at}.spec`),
    ];
  },
  image: ({ reference }, path) => (reference ? [] : [required(`${path}.reference`)]),
};

function validateSource(volume: Volume, path: string): FieldError[] {
  const present = SOURCES.filter((name) => volume[name] !== undefined);
  const [first, ...others] = present;
  if (first === undefined) return [required(path, 'must specify a volume type')];
  // The table's keys and values belong together, which TypeScript cannot see through an index.
  const check = CHECKS[first] as ((source: unknown, path: string) => FieldError[]) | undefined;
  return [...(check?.(volume[first], `${path}.${first}`) ?? []), ...others.map((name) => forbidden(`${path}.${name}`, 'may not specify more than 1 volume type'))];
}

export function validateVolumes(volumes: readonly Volume[] | undefined, path: string): FieldError[] {
  const names = new Set<string>();
  return (volumes ?? []).flatMap((volume, index) => {
    const at = `${path}[${index}]`;
    const errors = validateSource(volume, at);
    if (!volume.name) errors.push(required(`${at}.name`));
    else errors.push(...checked(`${at}.name`, volume.name, dnsLabelProblems));
    if (names.has(volume.name)) errors.push(duplicate(`${at}.name`, volume.name));
    names.add(volume.name);
    return errors;
  });
}
