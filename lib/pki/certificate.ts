// Certificate authorities and the certificates they issue, as kubeadm makes them (ECDSA P-256 for speed).
// The X.509 library is loaded when the first certificate is made: most processes never make one.
import { createPrivateKey, generateKeyPair, webcrypto, X509Certificate, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { Extension, JsonName } from '@peculiar/x509';

const YEAR_MS = 365 * 24 * 3600 * 1000;
/** Validity of an authority. Milliseconds. Source: kubeadm CACertificateValidityPeriod. */
export const AUTHORITY_VALIDITY_MS = 10 * YEAR_MS;
/** Validity of an issued certificate. Milliseconds. Source: kubeadm CertificateValidityPeriod. */
export const CERTIFICATE_VALIDITY_MS = YEAR_MS;
/** How far before now a certificate starts to hold, against clocks that differ. Milliseconds. Source: client-go util/cert. */
export const BACKDATE_MS = 5 * 60 * 1000;

const EC = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const RSA = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } as const;

export interface KeyAndCertificate {
  readonly certPem: string;
  readonly keyPem: string;
}

export interface AuthorityOptions {
  readonly commonName: string;
  readonly nowMs: number;
  /** Default: ten years. */
  readonly validityMs?: number;
}

export interface Subject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
}

export interface IssueOptions extends Subject {
  readonly ca: KeyAndCertificate;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly usages: readonly CertificateUsage[];
  readonly nowMs: number;
  /** Default: one year. */
  readonly validityMs?: number;
}

export type CertificateUsage = 'server' | 'client';
const USAGE_OID: Readonly<Record<CertificateUsage, string>> = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };

type Library = typeof import('@peculiar/x509');
let loading: Promise<Library> | undefined;

function library(): Promise<Library> {
  loading ??= import('reflect-metadata').then(() => import('@peculiar/x509')); // the first is what the second is built on
  return loading;
}

export async function createCertificateAuthority(options: AuthorityOptions): Promise<KeyAndCertificate> {
  const x509 = await library();
  const { subtle } = webcrypto;
  const keys = await subtle.generateKey(EC, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(options.nowMs, options.validityMs ?? AUTHORITY_VALIDITY_MS),
    name: nameOf(options),
    keys,
    signingAlgorithm: EC,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment | x509.KeyUsageFlags.keyCertSign, true),
      new x509.BasicConstraintsExtension(true, undefined, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: options.commonName }]),
    ],
  });
  return { certPem: `${certificate.toString('pem')}\n`, keyPem: await ecKeyPem(keys.privateKey) };
}

export async function issueCertificate(options: IssueOptions): Promise<KeyAndCertificate> {
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  return { certPem: await issueForKey({ ...options, publicKey: keys.publicKey }), keyPem: await ecKeyPem(keys.privateKey) };
}

/** Issues a certificate for a key that its owner keeps (a CertificateSigningRequest). */
async function issueForKey(options: IssueOptions & { readonly publicKey: webcrypto.CryptoKey }): Promise<string> {
  const x509 = await library();
  const authority = new x509.X509Certificate(options.ca.certPem);
  const { key, algorithm } = await signingKeyOf(options.ca);
  const alternativeNames = [
    ...[...new Set(options.dnsNames)].map((value) => ({ type: 'dns' as const, value })),
    ...[...new Set(options.ipAddresses)].map((value) => ({ type: 'ip' as const, value })),
  ];
  const extensions: Extension[] = [
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment, true),
    new x509.ExtendedKeyUsageExtension(options.usages.map((usage) => USAGE_OID[usage])),
    new x509.BasicConstraintsExtension(false, undefined, true),
    await x509.SubjectKeyIdentifierExtension.create(options.publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ...(alternativeNames.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(alternativeNames)]),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    ...validity(options.nowMs, options.validityMs ?? CERTIFICATE_VALIDITY_MS),
    subject: nameOf(options),
    issuer: authority.subjectName,
    publicKey: options.publicKey,
    signingKey: key,
    signingAlgorithm: algorithm,
    extensions,
  });
  return `${certificate.toString('pem')}\n`;
}

/** A server certificate that vouches for itself, as a kubelet without serving certificates makes one. */
export async function selfSignedServerCertificate(options: Omit<IssueOptions, 'ca' | 'usages'>): Promise<KeyAndCertificate> {
  const ca = await createCertificateAuthority({ commonName: `${options.commonName}-ca@${Math.floor(options.nowMs / 1000)}`, nowMs: options.nowMs });
  return issueCertificate({ ...options, ca, usages: ['server'] });
}

/** The key pair that signs service account tokens: kubeadm's sa.key and sa.pub with `encryptionAlgorithm: ECDSA-P256`, as all keys here. */
export async function createSigningKeyPair(): Promise<{ readonly privateKeyPem: string; readonly publicKeyPem: string }> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('ec', { namedCurve: 'prime256v1' });
  return {
    privateKeyPem: privateKey.export({ type: 'sec1', format: 'pem' }) as string,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  };
}

function validity(nowMs: number, validityMs: number): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(nowMs - BACKDATE_MS), notAfter: new Date(nowMs + validityMs) };
}

/** Organizations come before the common name, in the order of Go's pkix.Name. */
function nameOf({ commonName, organizations = [] }: Subject): JsonName {
  return [...(organizations.length === 0 ? [] : [{ O: [...organizations] }]), { CN: [commonName] }];
}

async function ecKeyPem(key: webcrypto.CryptoKey): Promise<string> {
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ type: 'sec1', format: 'pem' }) as string;
}

/** Throws when the key does not belong to the certificate, or is of a type that cannot sign certificates here. */
async function signingKeyOf(ca: KeyAndCertificate): Promise<{ key: webcrypto.CryptoKey; algorithm: typeof EC | typeof RSA }> {
  const key: KeyObject = createPrivateKey(ca.keyPem);
  if (!new X509Certificate(ca.certPem).checkPrivateKey(key)) throw new Error('the key of the certificate authority does not belong to its certificate');
  const algorithm = key.asymmetricKeyType === 'ec' ? EC : key.asymmetricKeyType === 'rsa' ? RSA : undefined;
  if (!algorithm) throw new Error(`cannot sign certificates with a key of type ${key.asymmetricKeyType ?? 'unknown'}`);
  return { key: await webcrypto.subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign']), algorithm };
}
