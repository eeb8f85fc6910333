// Approves the client certificates of kubelets whose user may ask for them. Source: pkg/controller/certificates/approver.
import { objectPath } from '#lib/api-client/client.ts';
import { defineController, done, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { certificateSigningRequestKind } from '#lib/kinds/certificates/certificate-signing-request.ts';
import type { CertificateSigningRequest } from '#lib/kinds/types/certificates-v1.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { readSigningRequest, type SigningRequest } from '#lib/pki/signing-request.ts';
import { requestText } from './request-text.ts';
import { isDecided, isIssued, kubeletClientProblem } from './rules.ts';

const SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet';

interface Recognizer {
  readonly subresource: 'selfnodeclient' | 'nodeclient';
  readonly message: string;
  readonly isFor: (csr: Readonly<CertificateSigningRequest>, request: SigningRequest) => boolean;
}
const RECOGNIZERS: readonly Recognizer[] = [
  { subresource: 'selfnodeclient', message: 'Auto approving self kubelet client certificate after SubjectAccessReview.', isFor: ({ spec }, { commonName }) => spec.username === commonName },
  { subresource: 'nodeclient', message: 'Auto approving kubelet client certificate after SubjectAccessReview.', isFor: () => true },
];

export const csrApprovingController = (): Controller => defineController({
  name: 'certificatesigningrequest-approving-controller',
  serviceAccount: 'certificate-controller',
  queueName: 'certificate',
  reconciles: certificateSigningRequestKind,
  async reconcile({ name }, context) {
    const csr = context.cache.get(certificateSigningRequestKind, undefined, name);
    if (!csr || csr.spec.signerName !== SIGNER || isIssued(csr) || isDecided(csr)) return done;
    const request = await readSigningRequest(requestText(csr));
    if (kubeletClientProblem(request, csr.spec.usages ?? []) !== undefined) return done;
    for (const { subresource, message, isFor } of RECOGNIZERS) {
      if (!isFor(csr, request) || !(await mayAsk(csr, subresource, context))) continue;
      await approve(csr, message, context);
      return done;
    }
    context.log.debug({ request: name }, 'recognized the request, but its user may not make it');
    return done;
  },
});

async function mayAsk({ spec: { username, uid, groups, extra } }: Readonly<CertificateSigningRequest>, subresource: string, { api }: ReconcileContext): Promise<boolean> {
  const answer = await api.request<{ status?: { allowed?: boolean } }>('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview',
    spec: { user: username, uid, groups, extra, resourceAttributes: { group: 'certificates.k8s.io', resource: 'certificatesigningrequests', verb: 'create', subresource, version: '*' } },
  });
  return answer.status?.allowed === true;
}

async function approve(csr: Readonly<CertificateSigningRequest>, message: string, { api, clock }: ReconcileContext): Promise<void> {
  const time = formatTime(clock.nowMs());
  const conditions = [...(csr.status?.conditions ?? []), { type: 'Approved', status: 'True', reason: 'AutoApproved', message, lastUpdateTime: time, lastTransitionTime: time }];
  await api.request('PUT', objectPath(certificateSigningRequestKind as never, undefined, csr.metadata.name, 'approval'), {
    ...csr, apiVersion: certificateSigningRequestKind.apiVersion, kind: certificateSigningRequestKind.kind, status: { ...csr.status, conditions },
  });
}
