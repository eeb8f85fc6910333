// CertificateSigningRequest of certificates.k8s.io/v1: asks a signer for a certificate.
// Who asks is filled in by the API server, which knows the user.
import { humanDuration } from '#lib/machinery/human-duration.ts';
import { pathSegmentProblems } from '#lib/machinery/names.ts';
import { ageColumn, nameColumn, NONE, orNone, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import { keep } from '../strategy.ts';
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '../types/certificates-v1.ts';

function conditionText({ status }: CertificateSigningRequest): string {
  const has = (type: string): boolean => status?.conditions?.some((condition) => condition.type === type) ?? false;
  const decision = has('Denied') ? 'Denied' : has('Approved') ? 'Approved' : 'Pending';
  return `${decision}${has('Failed') ? ',Failed' : ''}${status?.certificate ? ',Issued' : ''}`;
}

const isDecision = ({ type }: CertificateSigningRequestCondition): boolean => type === 'Approved' || type === 'Denied';

/** Decisions are made at /approval only. */
function prepareForStatusUpdate(next: CertificateSigningRequest, previous: CertificateSigningRequest): void {
  keep(next, previous, 'spec');
  const decisions = (previous.status?.conditions ?? []).filter(isDecision);
  const others = (next.status?.conditions ?? []).filter((condition) => !isDecision(condition));
  next.status = { ...next.status, ...(decisions.length + others.length > 0 ? { conditions: [...decisions, ...others] } : {}) };
}

export const certificateSigningRequestKind = defineKind<CertificateSigningRequest>({
  group: 'certificates.k8s.io', version: 'v1', kind: 'CertificateSigningRequest', plural: 'certificatesigningrequests', singular: 'certificatesigningrequest', scope: 'Cluster',
  schema: 'io.k8s.api.certificates.v1.CertificateSigningRequest',
  shortNames: ['csr'],
  storageVersionHash: '95fRKMXA+00=',
  subresources: {
    status: { verbs: ['get', 'patch', 'update'] },
  },
  // A body may leave out what the type requires.
  applyDefaults: (request) => { request.spec ??= {} as CertificateSigningRequest['spec']; },
  prepareForCreate: (request) => { request.status = {}; },
  prepareForUpdate: (next, previous) => { keep(next, previous, 'spec', 'status'); },
  prepareForStatusUpdate,
  validateName: pathSegmentProblems,
  selectableFields: { 'spec.signerName': ({ spec }) => spec.signerName ?? '' },
  columns: [
    nameColumn(),
    ageColumn(),
    textColumn('SignerName', ({ spec }) => orNone(spec.signerName)),
    textColumn('Requestor', ({ spec }) => spec.username ?? ''),
    textColumn('RequestedDuration', ({ spec }) => (spec.expirationSeconds === undefined ? NONE : humanDuration(spec.expirationSeconds * 1000))),
    textColumn('Condition', conditionText),
  ],
});
