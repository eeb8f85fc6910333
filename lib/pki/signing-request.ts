// Certificate signing requests (PKCS #10): what they ask for, and the certificate that answers one.
// The X.509 library is loaded with the first request.
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import type { Extension, GeneralName, Pkcs10CertificateRequest } from '@peculiar/x509';
import type { KeyAndCertificate } from './certificate.ts';

export interface SigningRequest {
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
}

export interface SignOptions {
  readonly ca: KeyAndCertificate;
  /** As the API writes them: `client auth`, `digital signature`. */
  readonly usages: readonly string[];
  readonly notBeforeMs: number;
  /** The authority's own end comes first when it is earlier. */
  readonly notAfterMs: number;
}

const PURPOSES: Readonly<Record<string, string>> = {
  any: '2.5.29.37.0', 'server auth': '1.3.6.1.5.5.7.3.1', 'client auth': '1.3.6.1.5.5.7.3.2', 'code signing': '1.3.6.1.5.5.7.3.3', 'email protection': '1.3.6.1.5.5.7.3.4', 's/mime': '1.3.6.1.5.5.7.3.4',
  'ipsec end system': '1.3.6.1.5.5.7.3.5', 'ipsec tunnel': '1.3.6.1.5.5.7.3.6', 'ipsec user': '1.3.6.1.5.5.7.3.7', timestamping: '1.3.6.1.5.5.7.3.8', 'ocsp signing': '1.3.6.1.5.5.7.3.9',
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3', 'netscape sgc': '2.16.840.1.113730.4.1',
};
/** Bits as X.509 numbers them. */
const KEY_USAGES: Readonly<Record<string, number>> = {
  signing: 1, 'digital signature': 1, 'content commitment': 2, 'key encipherment': 4, 'data encipherment': 8, 'key agreement': 16, 'cert sign': 32, 'crl sign': 64, 'encipher only': 128, 'decipher only': 256,
};

const ALTERNATIVE_NAMES = '2.5.29.17';

const library = () => import('reflect-metadata').then(() => import('@peculiar/x509'));

async function parsed(pem: string): Promise<Pkcs10CertificateRequest> {
  if (!/-----BEGIN CERTIFICATE REQUEST-----/.test(pem)) throw new Error('PEM block type must be CERTIFICATE REQUEST');
  const { Pkcs10CertificateRequest: Request } = await library();
  return new Request(pem);
}

/** Throws for what is no request. */
export async function readSigningRequest(pem: string): Promise<SigningRequest> {
  const [x509, request] = [await library(), await parsed(pem)];
  const extension = request.getExtension(ALTERNATIVE_NAMES);
  const names = extension ? new x509.SubjectAlternativeNameExtension(extension.rawData).names.items : [];
  const of = (type: GeneralName['type']) => names.filter((name) => name.type === type).map(({ value }) => value);
  return {
    commonName: request.subjectName.getField('CN').at(-1) ?? '', organizations: request.subjectName.getField('O'),
    dnsNames: of('dns'), ipAddresses: of('ip'), emailAddresses: of('email'), uris: of('url'),
  };
}

/** The certificate that answers the request: its subject, names and key, the usages of the caller. PEM. */
export async function signRequest(pem: string, { ca, usages, notBeforeMs, notAfterMs }: SignOptions): Promise<string> {
  const [x509, request] = [await library(), await parsed(pem)];
  if (!(await request.verify())) throw new Error('the signature of the certificate request does not fit its key');
  const authority = new x509.X509Certificate(ca.certPem);
  const key = createPrivateKey(ca.keyPem);
  if (!new X509Certificate(ca.certPem).checkPrivateKey(key)) throw new Error('the key of the certificate authority does not belong to its certificate');
  const algorithm = key.asymmetricKeyType === 'rsa' ? { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' } : { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const purposes = [...new Set(usages.map((usage) => PURPOSES[usage]).filter((oid) => oid !== undefined))];
  const bits = usages.reduce((all, usage) => all | (KEY_USAGES[usage] ?? 0), 0);
  const names = request.getExtension(ALTERNATIVE_NAMES);
  const extensions: Extension[] = [
    ...(bits === 0 ? [] : [new x509.KeyUsagesExtension(bits, true)]),
    ...(purposes.length === 0 ? [] : [new x509.ExtendedKeyUsageExtension(purposes)]),
    new x509.BasicConstraintsExtension(false, undefined, true),
    await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ...(names ? [names] : []),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    notBefore: new Date(notBeforeMs), notAfter: new Date(Math.min(notAfterMs, authority.notAfter.getTime())),
    subject: request.subjectName, issuer: authority.subjectName, publicKey: request.publicKey,
    signingKey: await webcrypto.subtle.importKey('pkcs8', key.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign']), signingAlgorithm: algorithm, extensions,
  });
  return `${certificate.toString('pem')}\n`;
}
