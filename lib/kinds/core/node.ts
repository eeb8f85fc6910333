// Node of v1: a machine that runs pods.
import { duplicate, forbidden, invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { CIDR_TEXT, isNetworkAddress, parseCidr } from '#lib/machinery/ip.ts';
import { labelValueProblems, qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, NONE, orNone, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { Node, NodeSpec } from '../types/core-v1.ts';
import { validateAmount } from './resource-validation.ts';
import { validateTaintEffect } from './scheduling-validation.ts';

const ROLE_PREFIX = 'node-role.kubernetes.io/';
const UNKNOWN = '<unknown>';

function applyDefaults(node: Node): void {
  const spec = (node.spec ??= {});
  // podCIDR is always the first of podCIDRs.
  if (spec.podCIDRs?.[0] !== undefined) spec.podCIDR = spec.podCIDRs[0];
  else if (spec.podCIDR) spec.podCIDRs = [spec.podCIDR];
  if (node.status?.capacity !== undefined) node.status.allocatable ??= { ...node.status.capacity };
}

function validateSpec({ podCIDRs = [], taints = [] }: NodeSpec): FieldError[] {
  const errors: FieldError[] = podCIDRs.flatMap((text, index) => {
    const cidr = parseCidr(text);
    if (cidr === undefined) return [invalid(`spec.podCIDRs[${index}]`, text, CIDR_TEXT)];
    return isNetworkAddress(cidr) ? [] : [invalid(`spec.podCIDRs[${index}]`, text, 'must not have bits set beyond the prefix length')];
  });
  const families = podCIDRs.map((text) => parseCidr(text)?.address.length);
  if (podCIDRs.length > 2 || new Set(families).size < families.length) {
    errors.push(invalid('spec.podCIDRs', podCIDRs, 'may specify no more than one CIDR for each IP family'));
  }
  const seen = new Set<string>();
  taints.forEach(({ key, value, effect }, index) => {
    const path = `spec.taints[${index}]`;
    errors.push(...checked(`${path}.key`, key ?? '', qualifiedNameProblems));
    const problems = labelValueProblems(value ?? '');
    if (problems.length > 0) errors.push(invalid(`${path}.value`, value, problems.join(';')));
    errors.push(...validateTaintEffect(effect, `${path}.effect`, { allowEmpty: false }));
    const pair = `${key}:${effect}`;
    if (seen.has(pair)) errors.push(duplicate(path, { key, value, effect }));
    seen.add(pair);
  });
  return errors;
}

function validate({ spec, status }: Node): FieldError[] {
  const errors = validateSpec(spec ?? {});
  for (const list of ['capacity', 'allocatable'] as const) {
    for (const [name, amount] of Object.entries(status?.[list] ?? {})) errors.push(...validateAmount(name, amount, `status.${list}.${name}`));
  }
  return errors;
}

function validateUpdate(next: Node, previous: Node): FieldError[] {
  const errors: FieldError[] = [];
  const [own, old] = [next.spec ?? {}, previous.spec ?? {}];
  if (old.podCIDRs !== undefined && old.podCIDRs.length > 0 && old.podCIDRs.join() !== (own.podCIDRs ?? []).join()) {
    errors.push(forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'));
  }
  if (old.providerID && own.providerID !== old.providerID) errors.push(forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid'));
  if (old.externalID && own.externalID !== old.externalID) errors.push(forbidden('spec.externalID', 'may not be updated'));
  return errors;
}

function validateStatusUpdate({ status }: Node): FieldError[] {
  const seen = new Set<string>();
  return (status?.addresses ?? []).flatMap((address, index) => {
    const key = `${address.type} ${address.address}`;
    if (seen.has(key)) return [duplicate(`status.addresses[${index}]`, address)];
    seen.add(key);
    return [];
  });
}

function statusText({ spec, status }: Node): string {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const health = ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady';
  return spec?.unschedulable === true ? `${health},SchedulingDisabled` : health;
}

function rolesText({ metadata }: Node): string {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX) && key.length > ROLE_PREFIX.length) roles.add(key.slice(ROLE_PREFIX.length));
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return orNone([...roles].sort().join(','));
}

const addressText = (type: string) => ({ status }: Node): string => status?.addresses?.find((one) => one.type === type)?.address ?? NONE;

function kernelText({ status }: Node): string {
  const { kernelVersion, architecture } = status?.nodeInfo ?? {};
  if (!kernelVersion) return UNKNOWN;
  return architecture ? `${kernelVersion} (${architecture})` : kernelVersion;
}

export const nodeKind = defineKind<Node>({
  group: '', version: 'v1', kind: 'Node', plural: 'nodes', singular: 'node', scope: 'Cluster',
  schema: 'io.k8s.api.core.v1.Node',
  shortNames: ['no'],
  storageVersionHash: 'XwShjMxG9Fs=',
  storagePrefix: 'minions',
  subresources: {
    proxy: { verbs: ['create', 'delete', 'get', 'patch', 'update'], kind: 'NodeProxyOptions' },
    status: { verbs: ['get', 'patch', 'update'] },
  },
  applyDefaults,
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate,
  validateUpdate,
  validateStatusUpdate,
  selectableFields: { 'spec.unschedulable': ({ spec }) => String(spec?.unschedulable ?? false) },
  columns: [
    nameColumn(),
    textColumn('Status', statusText),
    textColumn('Roles', rolesText),
    ageColumn(),
    textColumn('Version', ({ status }) => status?.nodeInfo?.kubeletVersion ?? ''),
    textColumn('Internal-IP', addressText('InternalIP'), 1),
    textColumn('External-IP', addressText('ExternalIP'), 1),
    textColumn('OS-Image', ({ status }) => status?.nodeInfo?.osImage || UNKNOWN, 1),
    textColumn('Kernel-Version', kernelText, 1),
    textColumn('Container-Runtime', ({ status }) => status?.nodeInfo?.containerRuntimeVersion || UNKNOWN, 1),
  ],
});
