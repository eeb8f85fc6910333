// What the built-in signers sign, and for how long. Source: pkg/apis/certificates/helpers.go, pkg/controller/certificates/signer.
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '#lib/kinds/types/certificates-v1.ts';
import type { SigningRequest } from '#lib/pki/signing-request.ts';

export const SIGNERS = ['kubernetes.io/kubelet-serving', 'kubernetes.io/kube-apiserver-client-kubelet', 'kubernetes.io/kube-apiserver-client', 'kubernetes.io/legacy-unknown'] as const;
export type SignerName = (typeof SIGNERS)[number];

const MINUTE = 60_000;
const SHORTEST_MS = 10 * MINUTE;
/** How far before now a certificate starts to hold, against clocks that differ. */
const BACKDATE_MS = 5 * MINUTE;
/** Certificates that hold for less keep their whole time from now on. */
const SHORT_MS = 480 * MINUTE;

export const conditionOf = ({ status }: Readonly<CertificateSigningRequest>, type: string): CertificateSigningRequestCondition | undefined =>
  status?.conditions?.find((condition) => condition.type === type);
const isSet = (csr: Readonly<CertificateSigningRequest>, type: string): boolean => {
  const condition = conditionOf(csr, type);
  return condition !== undefined && condition.status !== 'False';
};
export const isApproved = (csr: Readonly<CertificateSigningRequest>): boolean => isSet(csr, 'Approved') && !isSet(csr, 'Denied');
export const isDecided = (csr: Readonly<CertificateSigningRequest>): boolean => isSet(csr, 'Approved') || isSet(csr, 'Denied');
export const isIssued = ({ status }: Readonly<CertificateSigningRequest>): boolean => (status?.certificate ?? '') !== '';
export const hasFailed = (csr: Readonly<CertificateSigningRequest>): boolean => isSet(csr, 'Failed');

function usageProblem(usages: readonly string[], required: readonly string[]): string | undefined {
  const given = new Set(usages);
  // A key that is no RSA key needs no key encipherment.
  const fits = [required, required.filter((usage) => usage !== 'key encipherment')].some((set) => set.length === given.size && set.every((usage) => given.has(usage)));
  return fits ? undefined : `usages did not match [${[...required].sort().join(' ')}]`;
}

function nodeProblem({ commonName, organizations }: SigningRequest): string | undefined {
  if (organizations.length !== 1 || organizations[0] !== 'system:nodes') return 'subject organization is not system:nodes';
  return commonName.startsWith('system:node:') ? undefined : 'subject common name does not begin with system:node:';
}

const CLIENT_USAGES = ['client auth', 'digital signature', 'key encipherment'];
const SERVING_USAGES = ['digital signature', 'key encipherment', 'server auth'];

/** Why this is no client certificate of a kubelet. */
export function kubeletClientProblem(request: SigningRequest, usages: readonly string[]): string | undefined {
  const { organizations } = request;
  if (organizations.length !== 1 || organizations[0] !== 'system:nodes') return nodeProblem(request);
  if (request.dnsNames.length > 0) return 'DNS subjectAltNames are not allowed';
  if (request.emailAddresses.length > 0) return 'Email subjectAltNames are not allowed';
  if (request.ipAddresses.length > 0) return 'IP subjectAltNames are not allowed';
  if (request.uris.length > 0) return 'URI subjectAltNames are not allowed';
  return nodeProblem(request) ?? usageProblem(usages, CLIENT_USAGES);
}

function kubeletServingProblem(request: SigningRequest, usages: readonly string[]): string | undefined {
  const { organizations } = request;
  if (organizations.length !== 1 || organizations[0] !== 'system:nodes') return nodeProblem(request);
  if (request.dnsNames.length === 0 && request.ipAddresses.length === 0) return 'DNS or IP subjectAltName is required';
  if (request.emailAddresses.length > 0) return 'Email subjectAltNames are not allowed';
  if (request.uris.length > 0) return 'URI subjectAltNames are not allowed';
  return usageProblem(usages, SERVING_USAGES) ?? nodeProblem(request);
}

function clientProblem(usages: readonly string[]): string | undefined {
  const wrong = usages.find((usage) => !CLIENT_USAGES.includes(usage));
  if (wrong !== undefined) return `invalid usage for client certificate: ${wrong}`;
  return usages.includes('client auth') ? undefined : 'missing required usage for client certificate: client auth';
}

/** Why a signer refuses a request that was approved. */
export function signerProblem(signer: SignerName, request: SigningRequest, usages: readonly string[]): string | undefined {
  switch (signer) {
    case 'kubernetes.io/kubelet-serving': return kubeletServingProblem(request, usages);
    case 'kubernetes.io/kube-apiserver-client-kubelet': return kubeletClientProblem(request, usages);
    case 'kubernetes.io/kube-apiserver-client': return clientProblem(usages);
    case 'kubernetes.io/legacy-unknown': return undefined;
  }
}

/** From when to when a certificate holds. */
export function validityOf(expirationSeconds: number | undefined, longestMs: number, nowMs: number): { readonly notBeforeMs: number; readonly notAfterMs: number } {
  const durationMs = expirationSeconds === undefined ? longestMs : Math.min(longestMs, Math.max(SHORTEST_MS, expirationSeconds * 1000));
  const notBeforeMs = nowMs - BACKDATE_MS;
  return { notBeforeMs, notAfterMs: durationMs < SHORT_MS ? nowMs + durationMs : notBeforeMs + durationMs };
}
