// Signs approved requests of the built-in signers with the cluster's authority. Source: pkg/controller/certificates/signer.
import { readFile } from 'node:fs/promises';
import { defineController, done, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { certificateSigningRequestKind } from '#lib/kinds/certificates/certificate-signing-request.ts';
import type { CertificateSigningRequest } from '#lib/kinds/types/certificates-v1.ts';
import { encodeBase64Text } from '#lib/machinery/base64.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { readSigningRequest, signRequest } from '#lib/pki/signing-request.ts';
import { requestText } from './request-text.ts';
import { hasFailed, isApproved, isIssued, SIGNERS, signerProblem, validityOf, type SignerName } from './rules.ts';

/** Files of the authority; they are read for each certificate, so that a renewed one is used at once. */
export interface SigningFiles {
  readonly certFile: string;
  readonly keyFile: string;
}
export interface SigningSettings {
  readonly files: Readonly<Partial<Record<SignerName, SigningFiles>>>;
  readonly longestMs: number;
}

export const csrSigningController = ({ files, longestMs }: SigningSettings): Controller => defineController({
  name: 'certificatesigningrequest-signing-controller',
  serviceAccount: 'certificate-controller',
  queueName: 'certificate_signing',
  reconciles: certificateSigningRequestKind,
  async reconcile({ name }, context) {
    const csr = context.cache.get(certificateSigningRequestKind, undefined, name);
    if (!csr || isIssued(csr) || !isApproved(csr) || hasFailed(csr)) return done;
    const signer = SIGNERS.find((one) => one === csr.spec.signerName);
    const authority = signer && files[signer];
    if (!signer || !authority) return done; // somebody else's
    const text = requestText(csr);
    const usages = csr.spec.usages ?? [];
    const problem = signerProblem(signer, await readSigningRequest(text), usages);
    if (problem !== undefined) return refuse(csr, problem, context);
    const [certPem, keyPem] = await Promise.all([readFile(authority.certFile, 'utf8'), readFile(authority.keyFile, 'utf8')]);
    const certificate = await signRequest(text, { ca: { certPem, keyPem }, usages, ...validityOf(csr.spec.expirationSeconds, longestMs, context.clock.nowMs()) });
    await context.api.updateStatus(certificateSigningRequestKind, { ...csr, status: { ...csr.status, certificate: encodeBase64Text(certificate) } });
    return done;
  },
});

async function refuse(csr: Readonly<CertificateSigningRequest>, message: string, { api, clock }: ReconcileContext) {
  const time = formatTime(clock.nowMs());
  const conditions = [...(csr.status?.conditions ?? []), { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message, lastUpdateTime: time, lastTransitionTime: time }];
  await api.updateStatus(certificateSigningRequestKind, { ...csr, status: { ...csr.status, conditions } });
  return done;
}
