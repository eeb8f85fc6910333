// Ingress of networking.k8s.io/v1: HTTP from outside by host and path.
import { ageColumn, nameColumn, orNone, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keepSpec, keepStatus } from '../strategy.ts';
import type { Ingress, IngressRule } from '../types/networking-v1.ts';

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
