// The PEM text that a CertificateSigningRequest carries.
import type { CertificateSigningRequest } from '#lib/kinds/types/certificates-v1.ts';
import { decodeBase64 } from '#lib/machinery/base64.ts';

export const requestText = ({ spec }: Readonly<CertificateSigningRequest>): string => new TextDecoder().decode(decodeBase64(spec.request));
