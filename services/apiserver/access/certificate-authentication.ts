// Users by client certificate: the common name is the user, the organizations are the groups.
// Source: apiserver pkg/authentication/request/x509.
import { X509Certificate } from 'node:crypto';
import type { User } from '../core/access.ts';

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_USAGE = '2.5.29.37.0';
/** Intermediates between a leaf and its authority that are followed. */
const MAX_CHAIN = 8;

export interface VerifiedCertificate {
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** Whole chain: milliseconds since the epoch. */
  readonly validFromMs: number;
  readonly validToMs: number;
}

/** All certificates of a PEM bundle. */
export function parseCertificates(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).map((block) => new X509Certificate(block));
}

/**
 * Follows the chain from the leaf to one of the authorities. Undefined when it leads to none of them or is not for clients.
 * Time is left to the caller: the answer holds as long as the connection.
 */
export function verifyCertificateChain(chain: readonly Uint8Array[], authorities: readonly X509Certificate[]): VerifiedCertificate | undefined {
  const [leaf, ...intermediates] = chain.slice(0, MAX_CHAIN).map((der) => new X509Certificate(der));
  if (!leaf) return undefined;
  const usages: readonly string[] | undefined = leaf.keyUsage; // extended key usages; undefined without that extension
  if (usages && !usages.includes(CLIENT_AUTH) && !usages.includes(ANY_USAGE)) return undefined;
  let validFromMs = 0;
  let validToMs = Infinity;
  let current = leaf;
  for (let depth = 0; depth < MAX_CHAIN; depth++) {
    validFromMs = Math.max(validFromMs, Date.parse(current.validFrom));
    validToMs = Math.min(validToMs, Date.parse(current.validTo));
    const issuedBy = (candidate: X509Certificate) => candidate.ca && current.checkIssued(candidate) && current.verify(candidate.publicKey);
    const authority = authorities.find(issuedBy);
    if (authority) {
      validFromMs = Math.max(validFromMs, Date.parse(authority.validFrom));
      validToMs = Math.min(validToMs, Date.parse(authority.validTo));
      return { ...subjectOf(leaf), validFromMs, validToMs };
    }
    const next = intermediates.find(issuedBy);
    if (!next || next === current) return undefined;
    current = next;
  }
  return undefined;
}

/** By attribute, as OpenSSL parsed them: a text form could be ambiguous. */
function subjectOf(certificate: X509Certificate): { commonName: string; organizations: string[] } {
  const { subject } = certificate.toLegacyObject() as unknown as { subject: Readonly<Record<string, string | readonly string[] | undefined>> };
  const values = (key: string) => [subject[key] ?? []].flat();
  return { commonName: values('CN').at(-1) ?? '', organizations: values('O') };
}

export function userOfCertificate({ commonName, organizations }: VerifiedCertificate): User {
  return { name: commonName, groups: organizations };
}
