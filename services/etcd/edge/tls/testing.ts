// What tests of TLS need: settings as without flags, and lists of revoked certificates.
import { createPrivateKey, webcrypto } from 'node:crypto';
import type { KeyAndCertificate } from '#lib/pki/certificate.ts';
import type { TlsInfo } from './tls-info.ts';

export const tlsInfo = (given: Partial<TlsInfo>): TlsInfo => ({
  certFile: '', keyFile: '', clientCertFile: '', clientKeyFile: '', trustedCaFile: '', clientCertAuth: false, crlFile: '', allowed: { commonNames: [], hostnames: [] },
  skipsClientSanVerification: false, isSelfSigned: false, ciphers: undefined, minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', ...given,
});

/** DER. */
export async function revocationListOf(ca: KeyAndCertificate, serialNumbers: readonly string[]): Promise<Buffer> {
  await import('reflect-metadata');
  const { X509Certificate, X509CrlGenerator } = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const signingKey = await webcrypto.subtle.importKey('pkcs8', createPrivateKey(ca.keyPem).export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign']);
  const list = await X509CrlGenerator.create({ issuer: new X509Certificate(ca.certPem).subject, thisUpdate: new Date(), signingAlgorithm: algorithm, signingKey, entries: serialNumbers.map((serialNumber) => ({ serialNumber })) });
  return Buffer.from(list.rawData);
}
