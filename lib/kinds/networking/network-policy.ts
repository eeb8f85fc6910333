// NetworkPolicy of networking.k8s.io/v1: who may talk to the pods of a selector, and to whom they may.
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { CIDR_TEXT, isNetworkAddress, parseCidr, type Cidr } from '#lib/machinery/ip.ts';
import { portNameProblems, portNumberProblems } from '#lib/machinery/names.ts';
import { checked, validateLabelSelector } from '#lib/machinery/object-meta.ts';
import { labelSelectorText } from '#lib/machinery/selectors.ts';
import { ageColumn, nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '../types/networking-v1.ts';

function applyDefaults(policy: NetworkPolicy): void {
  // A body may leave out what the type requires.
  const spec = (policy.spec ??= {});
  spec.podSelector ??= {};
  for (const { ports } of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) for (const port of ports ?? []) port.protocol ??= 'TCP';
  if ((spec.policyTypes ?? []).length === 0) spec.policyTypes = (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
}

function validatePort({ port, endPort, protocol }: NetworkPolicyPort, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (protocol !== undefined && !['TCP', 'UDP', 'SCTP'].includes(protocol)) errors.push(notSupported(`${path}.protocol`, protocol, ['TCP', 'UDP', 'SCTP']));
  const at = `${path}.endPort`;
  if (port === undefined) return endPort === undefined ? errors : [...errors, invalid(at, endPort, 'may not be specified when `port` is not specified')];
  if (typeof port === 'string') {
    if (endPort !== undefined) errors.push(invalid(at, endPort, 'may not be specified when `port` is non-numeric'));
    return [...errors, ...checked(`${path}.port`, port, portNameProblems)];
  }
  errors.push(...portNumberProblems(port).map((text) => invalid(`${path}.port`, port, text)));
  if (endPort === undefined) return errors;
  if (endPort < port) errors.push(invalid(at, endPort, 'must be greater than or equal to `port`'));
  return [...errors, ...portNumberProblems(endPort).map((text) => invalid(at, endPort, text))];
}

/** Whether all of `inner` lies in `outer` and leaves some of it. */
function isPartOf(inner: Cidr, outer: Cidr): boolean {
  if (inner.address.length !== outer.address.length || inner.prefixLength <= outer.prefixLength) return false;
  const masked = inner.address.map((byte, index) => byte ^ (outer.address[index] ?? 0));
  return masked.every((byte, index) => (byte & ~(0xff >> Math.min(8, Math.max(0, outer.prefixLength - index * 8)))) === 0);
}

function validateCidr(text: string, path: string): FieldError[] {
  const cidr = parseCidr(text);
  if (cidr === undefined) return [invalid(path, text, CIDR_TEXT)];
  return isNetworkAddress(cidr) ? [] : [invalid(path, text, 'must not have bits set beyond the prefix length')];
}

function validateBlock({ cidr, except = [] }: IPBlock, path: string): FieldError[] {
  if (!cidr) return [required(`${path}.cidr`)];
  const errors = validateCidr(cidr, `${path}.cidr`);
  const outer = parseCidr(cidr);
  if (outer === undefined) return errors;
  except.forEach((text, index) => {
    const at = `${path}.except[${index}]`;
    errors.push(...validateCidr(text, at));
    const inner = parseCidr(text);
    if (inner !== undefined && !isPartOf(inner, outer)) errors.push(invalid(at, text, 'must be a strict subset of `cidr`'));
  });
  return errors;
}

function validatePeer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, path: string): FieldError[] {
  const errors = [
    ...validateLabelSelector(podSelector, `${path}.podSelector`),
    ...validateLabelSelector(namespaceSelector, `${path}.namespaceSelector`),
    ...(ipBlock === undefined ? [] : validateBlock(ipBlock, `${path}.ipBlock`)),
  ];
  const isSelecting = podSelector !== undefined || namespaceSelector !== undefined;
  if (!isSelecting && ipBlock === undefined) errors.push(required(path, 'must specify a peer'));
  if (isSelecting && ipBlock !== undefined) errors.push(forbidden(path, 'may not specify both ipBlock and another peer'));
  return errors;
}

interface Rule {
  readonly ports: readonly NetworkPolicyPort[] | undefined;
  readonly peers: readonly NetworkPolicyPeer[] | undefined;
}

function validateRule({ ports = [], peers = [] }: Rule, path: string, peersName: string): FieldError[] {
  return [
    ...ports.flatMap((port, index) => validatePort(port, `${path}.ports[${index}]`)),
    ...peers.flatMap((peer, index) => validatePeer(peer, `${path}.${peersName}[${index}]`)),
  ];
}

function validate({ spec }: NetworkPolicy): FieldError[] {
  const { policyTypes = [] } = spec;
  const errors = [
    ...validateLabelSelector(spec.podSelector, 'spec.podSelector'),
    ...(spec.ingress ?? []).flatMap(({ ports, from }, index) => validateRule({ ports, peers: from }, `spec.ingress[${index}]`, 'from')),
    ...(spec.egress ?? []).flatMap(({ ports, to }, index) => validateRule({ ports, peers: to }, `spec.egress[${index}]`, 'to')),
  ];
  if (policyTypes.length > 2) return [...errors, invalid('spec.policyTypes', policyTypes, 'may not specify more than two policyTypes')];
  policyTypes.forEach((type, index) => {
    if (type !== 'Ingress' && type !== 'Egress') errors.push(notSupported(`spec.policyTypes[${index}]`, type, ['Ingress', 'Egress']));
  });
  return errors;
}

export const networkPolicyKind = defineKind<NetworkPolicy>({
  group: 'networking.k8s.io', version: 'v1', kind: 'NetworkPolicy', plural: 'networkpolicies', singular: 'networkpolicy', scope: 'Namespaced',
  schema: 'io.k8s.api.networking.v1.NetworkPolicy',
  shortNames: ['netpol'],
  storageVersionHash: 'YpfwF18m1G8=',
  applyDefaults,
  validate,
  generation: 'spec-change',
  columns: [nameColumn(), textColumn('Pod-Selector', ({ spec }) => labelSelectorText(spec.podSelector)), ageColumn()],
});
