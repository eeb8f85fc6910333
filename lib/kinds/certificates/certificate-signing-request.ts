// CertificateSigningRequest of certificates.k8s.io/v1: asks a signer for a certificate.
// Who asks is filled in by the API server, which knows the user.
import { decodeBase64 } from '#lib/machinery/base64.ts';
import { humanDuration } from '#lib/machinery/human-duration.ts';
import { dnsSubdomainProblems, pathSegmentProblems } from '#lib/machinery/names.ts';
import { duplicate, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
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

const USAGES = [
  'any', 'cert sign', 'client auth', 'code signing', 'content commitment', 'crl sign', 'data encipherment', 'decipher only', 'digital signature', 'email protection', 'encipher only',
  'ipsec end system', 'ipsec tunnel', 'ipsec user', 'key agreement', 'key encipherment', 'microsoft sgc', 'netscape sgc', 'ocsp signing', 's/mime', 'server auth', 'signing', 'timestamping',
];
const LEAST_SECONDS = 600;
const LEGACY_SIGNER = 'kubernetes.io/legacy-unknown';

function validateSigner(name: string | undefined): FieldError[] {
  const path = 'spec.signerName';
  if (!name) return [required(path)];
  if (name === LEGACY_SIGNER) return [invalid(path, name, 'the legacy signerName is not allowed via this API version')];
  const [domain = '', signer, ...rest] = name.split('/');
  if (!signer || rest.length > 0 || !domain.includes('.')) return [invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")];
  return [...dnsSubdomainProblems(domain), ...dnsSubdomainProblems(signer)].map((text) => invalid(path, name, text));
}

/** What can be said without parsing the request itself, which needs cryptography. */
function validateSpec({ spec: { request, usages = [], signerName, expirationSeconds } }: CertificateSigningRequest): FieldError[] {
  const pem = new TextDecoder().decode(decodeBase64(request ?? ''));
  const errors: FieldError[] = /-----BEGIN CERTIFICATE REQUEST-----[^-]+-----END CERTIFICATE REQUEST-----/.test(pem) ? []
    : [invalid('spec.request', request ?? null, 'PEM block type must be CERTIFICATE REQUEST')];
  if (usages.length === 0) errors.push(required('spec.usages'));
  usages.forEach((usage, index) => {
    if (!USAGES.includes(usage)) errors.push(notSupported(`spec.usages[${index}]`, usage, USAGES));
    if (usages.indexOf(usage) < index) errors.push(duplicate(`spec.usages[${index}]`, usage));
  });
  errors.push(...validateSigner(signerName));
  if (expirationSeconds !== undefined && expirationSeconds < LEAST_SECONDS) errors.push(invalid('spec.expirationSeconds', expirationSeconds, 'may not specify a duration less than 600 seconds (10 minutes)'));
  return errors;
}

/** Also of what is written to /approval. */
export function validateConditions(conditions: readonly CertificateSigningRequestCondition[] | undefined): FieldError[] {
  const seen = new Set<string>();
  const errors = (conditions ?? []).flatMap(({ type, status }, index) => {
    const path = `status.conditions[${index}]`;
    const problems: FieldError[] = type ? [] : [required(`${path}.type`)];
    const isFinal = type === 'Approved' || type === 'Denied' || type === 'Failed';
    if (!status) problems.push(required(`${path}.status`));
    else if (isFinal && status !== 'True') problems.push(notSupported(`${path}.status`, status, ['True']));
    else if (!['True', 'False', 'Unknown'].includes(status)) problems.push(notSupported(`${path}.status`, status, ['False', 'True', 'Unknown']));
    if (seen.has(type)) problems.push(duplicate(`${path}.type`, type));
    seen.add(type);
    return problems;
  });
  if (seen.has('Approved') && seen.has('Denied')) errors.push(invalid('status.conditions', 'Denied', 'Approved and Denied conditions are mutually exclusive'));
  return errors;
}

export const certificateSigningRequestKind = defineKind<CertificateSigningRequest>({
  group: 'certificates.k8s.io', version: 'v1', kind: 'CertificateSigningRequest', plural: 'certificatesigningrequests', singular: 'certificatesigningrequest', scope: 'Cluster',
  schema: 'io.k8s.api.certificates.v1.CertificateSigningRequest',
  shortNames: ['csr'],
  storageVersionHash: '95fRKMXA+00=',
  subresources: {
    approval: { verbs: ['get', 'patch', 'update'] },
    status: { verbs: ['get', 'patch', 'update'] },
  },
  // A body may leave out what the type requires.
  applyDefaults: (request) => { request.spec ??= {} as CertificateSigningRequest['spec']; },
  prepareForCreate: (request) => { request.status = {}; },
  prepareForUpdate: (next, previous) => { keep(next, previous, 'spec', 'status'); },
  prepareForStatusUpdate,
  validateName: pathSegmentProblems,
  validateCreate: validateSpec,
  validateStatusUpdate: ({ status }) => validateConditions(status?.conditions),
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
