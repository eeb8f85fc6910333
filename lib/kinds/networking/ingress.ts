// Ingress of networking.k8s.io/v1: HTTP from outside by host and path.
import { invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { IP_TEXT, isIpAddress } from '#lib/machinery/ip.ts';
import { dnsLabelProblems, dnsSubdomainProblems, portNameProblems, portNumberProblems, wildcardSubdomainProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { ageColumn, nameColumn, orNone, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { HTTPIngressPath, Ingress, IngressBackend, IngressRule, IngressTLS } from '../types/networking-v1.ts';
import { validateTypedReference } from './typed-reference.ts';

const SHOWN_HOSTS = 3;

/** `*` when no rule names a host. */
function hostsText(rules: readonly IngressRule[]): string {
  const shown: string[] = [];
  for (const { host } of rules) {
    if (shown.length === SHOWN_HOSTS) return `${shown.join(',')} + ${rules.length - SHOWN_HOSTS} more...`;
    if (host) shown.push(host);
  }
  return shown.length === 0 ? '*' : shown.join(',');
}

function addressText({ status }: Ingress): string {
  const addresses = (status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip || hostname || '').filter((address) => address !== '');
  return [...new Set(addresses)].sort().join(',');
}

const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';
const BAD_SEQUENCES = ['//', '/./', '/../', '%2f', '%2F'];
const BAD_ENDS = ['/..', '/.'];

const hostProblems = (host: string): string[] => (host.includes('*') ? wildcardSubdomainProblems(host) : dnsSubdomainProblems(host));

function validateBackend({ resource, service }: IngressBackend, path: string): FieldError[] {
  if (resource !== undefined && service !== undefined) return [invalid(path, '', 'cannot set both resource and service backends')];
  if (resource !== undefined) return validateTypedReference(resource, `${path}.resource`);
  if (service === undefined) return [invalid(path, '', 'resource or service backend is required')];
  const errors = service.name ? checked(`${path}.service.name`, service.name, dnsLabelProblems) : [required(`${path}.service.name`)];
  const { name, number } = service.port ?? {};
  if (name && number) return [...errors, invalid(path, '', 'cannot set both port name & port number')];
  if (name) return [...errors, ...checked(`${path}.service.port.name`, name, portNameProblems)];
  if (number) return [...errors, ...portNumberProblems(number).map((text) => invalid(`${path}.service.port.number`, number, text))];
  return [...errors, required(path, 'port name or number is required')];
}

function validatePathText(target: string, pathType: string, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const isFree = pathType === 'ImplementationSpecific';
  if (!target.startsWith('/') && !(isFree && target === '')) errors.push(invalid(path, target, 'must be an absolute path'));
  if (isFree) return errors;
  for (const part of BAD_SEQUENCES) if (target.includes(part)) errors.push(invalid(path, target, `must not contain '${part}'`));
  for (const end of BAD_ENDS) if (target.endsWith(end)) errors.push(invalid(path, target, `cannot end with '${end}'`));
  return errors;
}

function validatePath({ path: target = '', pathType, backend }: HTTPIngressPath, path: string): FieldError[] {
  // A body may leave out what the type requires.
  if ((pathType as string | undefined) === undefined) return [required(`${path}.pathType`, 'pathType must be specified')];
  const isKnown = pathType === 'Exact' || pathType === 'Prefix' || pathType === 'ImplementationSpecific';
  return [
    ...(isKnown ? validatePathText(target, pathType, `${path}.path`) : [notSupported(`${path}.pathType`, pathType, ['Exact', 'ImplementationSpecific', 'Prefix'])]),
    ...validateBackend((backend as IngressBackend | undefined) ?? {}, `${path}.backend`),
  ];
}

function validateRule({ host, http }: IngressRule, path: string): FieldError[] {
  const errors: FieldError[] = [];
  if (host && isIpAddress(host)) errors.push(invalid(`${path}.host`, host, 'must be a DNS name, not an IP address'));
  if (host) errors.push(...checked(`${path}.host`, host, hostProblems));
  if (http === undefined) return errors;
  const paths = (http.paths as HTTPIngressPath[] | undefined) ?? [];
  if (paths.length === 0) errors.push(required(`${path}.http.paths`));
  return [...errors, ...paths.flatMap((one, index) => validatePath(one, `${path}.http.paths[${index}]`))];
}

function validateTls({ hosts = [], secretName }: IngressTLS, path: string): FieldError[] {
  return [
    ...hosts.flatMap((host, index) => checked(`${path}.hosts[${index}]`, host, hostProblems)),
    ...(secretName ? checked(`${path}.secretName`, secretName, dnsSubdomainProblems) : []),
  ];
}

function validate({ spec }: Ingress): FieldError[] {
  const { rules = [], defaultBackend, tls = [], ingressClassName } = spec;
  return [
    ...(rules.length === 0 && defaultBackend === undefined ? [invalid('spec', spec.rules ?? null, 'either `defaultBackend` or `rules` must be specified')] : []),
    ...(defaultBackend === undefined ? [] : validateBackend(defaultBackend, 'spec.defaultBackend')),
    ...rules.flatMap((rule, index) => validateRule(rule, `spec.rules[${index}]`)),
    ...tls.flatMap((one, index) => validateTls(one, `spec.tls[${index}]`)),
    ...(ingressClassName === undefined ? [] : checked('spec.ingressClassName', ingressClassName, dnsSubdomainProblems)),
  ];
}

function validateCreate({ metadata, spec }: Ingress): FieldError[] {
  const name = metadata.annotations?.[CLASS_ANNOTATION];
  if (name === undefined || spec.ingressClassName === undefined || name === spec.ingressClassName) return [];
  return [invalid(`annotations.${CLASS_ANNOTATION}`, name, 'must match `ingressClassName` when both are specified')];
}

function validateStatusUpdate({ status }: Ingress): FieldError[] {
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }, index) => {
    const path = `status.loadBalancer.ingress[${index}]`;
    return [
      ...(ip && !isIpAddress(ip) ? [invalid(`${path}.ip`, ip, IP_TEXT)] : []),
      ...(hostname ? checked(`${path}.hostname`, hostname, dnsSubdomainProblems) : []),
      ...(hostname && isIpAddress(hostname) ? [invalid(`${path}.hostname`, hostname, 'must be a DNS name, not an IP address')] : []),
    ];
  });
}

/** The annotation came before the field. */
const warnings = ({ metadata }: Ingress, previous?: Ingress): string[] =>
  (previous === undefined && metadata.annotations?.[CLASS_ANNOTATION] !== undefined
    ? [`annotation ${JSON.stringify(CLASS_ANNOTATION)} is deprecated, please use 'spec.ingressClassName' instead`] : []);

export const ingressKind = defineKind<Ingress>({
  group: 'networking.k8s.io', version: 'v1', kind: 'Ingress', plural: 'ingresses', singular: 'ingress', scope: 'Namespaced',
  schema: 'io.k8s.api.networking.v1.Ingress',
  shortNames: ['ing'],
  storageVersionHash: '39NQlfNR+bo=',
  storagePrefix: 'ingress',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  // A body may leave out what the type requires.
  applyDefaults: (ingress) => { ingress.spec ??= {}; },
  prepareForCreate: (ingress) => { ingress.status = { loadBalancer: {} }; },
  prepareForUpdate: keepStatus,
  prepareForStatusUpdate: keepSpec,
  validate,
  validateCreate,
  validateStatusUpdate,
  warnings,
  generation: 'spec-change',
  columns: [
    nameColumn(),
    textColumn('Class', ({ spec }) => orNone(spec.ingressClassName)),
    textColumn('Hosts', ({ spec }) => hostsText(spec.rules ?? [])),
    textColumn('Address', addressText),
    textColumn('Ports', ({ spec }) => ((spec.tls ?? []).length > 0 ? '80, 443' : '80')),
    ageColumn(),
  ],
});
