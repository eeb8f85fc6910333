// Checks of security contexts. Source: pkg/apis/core/validation (ValidateSecurityContext, validatePodSpecSecurityContext).
import { duplicate, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { idProblems } from '#lib/machinery/names.ts';
import type { AppArmorProfile, PodSpec, SeccompProfile, SecurityContext } from '../types/core-v1.ts';

const PROFILE_TYPES = ['Localhost', 'RuntimeDefault', 'Unconfined'];

const validateId = (id: number | undefined, path: string): FieldError[] => (id === undefined ? [] : idProblems(id).map((text) => invalid(path, id, text)));

function validateProfile(profile: SeccompProfile | AppArmorProfile | undefined, path: string, { name, field }: { readonly name: string; readonly field: string }): FieldError[] {
  if (profile === undefined) return [];
  const { type, localhostProfile } = profile;
  const at = `${path}.localhostProfile`;
  if (!type) return [required(`${path}.type`, `type is required when ${field} is set`)];
  if (!PROFILE_TYPES.includes(type)) return [notSupported(`${path}.type`, type, PROFILE_TYPES)];
  if (type === 'Localhost') return localhostProfile ? [] : [required(at, `must be set when ${name} type is Localhost`)];
  return localhostProfile === undefined ? [] : [invalid(at, localhostProfile, `can only be set when ${name} type is Localhost`)];
}
const validateProfiles = (context: { seccompProfile?: SeccompProfile | undefined; appArmorProfile?: AppArmorProfile | undefined }, path: string): FieldError[] => [
  ...validateProfile(context.seccompProfile, `${path}.seccompProfile`, { name: 'seccomp', field: 'seccompProfile' }),
  ...validateProfile(context.appArmorProfile, `${path}.appArmorProfile`, { name: 'AppArmor', field: 'appArmorProfile' }),
];

export function validateSecurityContext(context: SecurityContext | undefined, path: string, spec: PodSpec): FieldError[] {
  if (context === undefined) return [];
  const errors: FieldError[] = [...validateId(context.runAsUser, `${path}.runAsUser`), ...validateId(context.runAsGroup, `${path}.runAsGroup`)];
  if (context.procMount !== undefined) {
    if (context.procMount !== 'Default' && context.procMount !== 'Unmasked') errors.push(notSupported(`${path}.procMount`, context.procMount, ['Default', 'Unmasked']));
    if (context.procMount === 'Unmasked' && spec.hostUsers !== false) errors.push(invalid(`${path}.procMount`, context.procMount, '`hostUsers` must be false to use `Unmasked`'));
  }
  errors.push(...validateProfiles(context, path));
  if (context.allowPrivilegeEscalation === false) {
    if (context.privileged === true) errors.push(invalid(path, context, 'cannot set `allowPrivilegeEscalation` to false and `privileged` to true'));
    if (context.capabilities?.add?.includes('CAP_SYS_ADMIN') === true) {
      errors.push(invalid(path, context, 'cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN'));
    }
  }
  return errors;
}

const SYSCTL = /^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$/;
const SYSCTL_TEXT = 'must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$';

function validateSysctls(spec: PodSpec, path: string): FieldError[] {
  const names = new Set<string>();
  return (spec.securityContext?.sysctls ?? []).flatMap(({ name }, index) => {
    const at = `${path}[${index}].name`;
    const errors: FieldError[] = [];
    if (!name) errors.push(required(at));
    else if (name.length > 253 || !SYSCTL.test(name)) errors.push(invalid(at, name, SYSCTL_TEXT));
    else if (names.has(name)) errors.push(duplicate(at, name));
    names.add(name);
    if (spec.hostNetwork === true && /^net[./]/.test(name)) errors.push(invalid(at, name, "may not be specified when 'hostNetwork' is true"));
    if (spec.hostIPC === true && /^(kernel[./](shm|msg|sem)|fs[./]mqueue[./])/.test(name)) errors.push(invalid(at, name, "may not be specified when 'hostIPC' is true"));
    return errors;
  });
}

const ONE_OF = {
  fsGroupChangePolicy: ['Always', 'OnRootMismatch'], supplementalGroupsPolicy: ['Merge', 'Strict'], seLinuxChangePolicy: ['MountOption', 'Recursive'],
} as const;

export function validatePodSecurityContext(spec: PodSpec, path: string): FieldError[] {
  const context = spec.securityContext ?? {};
  const errors: FieldError[] = [
    ...validateId(context.fsGroup, `${path}.fsGroup`),
    ...validateId(context.runAsUser, `${path}.runAsUser`),
    ...validateId(context.runAsGroup, `${path}.runAsGroup`),
    ...(context.supplementalGroups ?? []).flatMap((id, index) => validateId(id, `${path}.supplementalGroups[${index}]`)),
  ];
  if (spec.shareProcessNamespace === true && spec.hostPID === true) {
    errors.push(invalid(`${path}.shareProcessNamespace`, true, 'ShareProcessNamespace and HostPID cannot both be enabled'));
  }
  errors.push(...validateSysctls(spec, `${path}.sysctls`));
  for (const name of Object.keys(ONE_OF) as (keyof typeof ONE_OF)[]) {
    const value = context[name];
    if (value !== undefined && !(ONE_OF[name] as readonly string[]).includes(value)) errors.push(notSupported(`${path}.${name}`, value, ONE_OF[name]));
  }
  return [...errors, ...validateProfiles(context, path)];
}
