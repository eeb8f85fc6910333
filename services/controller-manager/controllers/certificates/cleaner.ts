// Deletes requests that nobody needs any more: issued, denied and failed ones after an hour, open ones after a day,
// and those whose certificate has ended. Source: pkg/controller/certificates/cleaner.
import { X509Certificate } from 'node:crypto';
import { definePeriodic, type Controller } from '#lib/controller/define-controller.ts';
import { certificateSigningRequestKind } from '#lib/kinds/certificates/certificate-signing-request.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import type { CertificateSigningRequest } from '#lib/kinds/types/certificates-v1.ts';
import { decodeBase64 } from '#lib/machinery/base64.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { createdMs } from '../../core/pod-state.ts';
import { conditionOf, isDecided, isIssued } from './rules.ts';

const HOUR = 3_600_000;
const PENDING_MS = 24 * HOUR;

export function isExpired(csr: Readonly<CertificateSigningRequest>, nowMs: number): boolean {
  const isOlder = (type: string, ageMs: number): boolean => {
    const atMs = parseTimeOrUndefined(conditionOf(csr, type)?.lastUpdateTime ?? '');
    return atMs !== undefined && nowMs - atMs > ageMs;
  };
  if (isIssued(csr) && isOlder('Approved', HOUR)) return true;
  if (isOlder('Denied', HOUR) || isOlder('Failed', HOUR)) return true;
  if (!isDecided(csr) && nowMs - createdMs(csr) > PENDING_MS) return true;
  if (!isIssued(csr)) return false;
  return Date.parse(endOf(csr)) < nowMs;
}

/** Empty for what is no certificate: whoever signs for a signer of his own may write anything. */
function endOf({ status }: Readonly<CertificateSigningRequest>): string {
  try {
    return new X509Certificate(decodeBase64(status?.certificate ?? '')).validTo;
  } catch {
    return '';
  }
}

export const csrCleanerController = (): Controller => definePeriodic({
  name: 'certificatesigningrequest-cleaner-controller',
  serviceAccount: 'certificate-controller',
  reads: [anyKind(certificateSigningRequestKind)],
  periodMs: HOUR,
  async run({ cache, api, clock }) {
    for (const csr of cache.list(certificateSigningRequestKind)) {
      if (!isExpired(csr, clock.nowMs())) continue;
      await api.delete(certificateSigningRequestKind, csr).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    }
    return undefined;
  },
});
