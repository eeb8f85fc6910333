// Certificate authorities and the certificates they issue, as kubeadm makes them (ECDSA P-256 for speed).
// Written on node:crypto alone: a certificate library would cost each process that starts here 100 ms and several MB.
import { createHash, createPrivateKey, createPublicKey, generateKeyPair, generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import { bitString, explicit, implicit, integer, objectIdentifier, octetString, sequence, set, time, trueValue, utf8String, type Der } from './der.ts';

const YEAR_MS = 365 * 24 * 3600 * 1000;
/** Validity of an authority. Milliseconds. Source: kubeadm CACertificateValidityPeriod. */
export const AUTHORITY_VALIDITY_MS = 10 * YEAR_MS;
/** Validity of an issued certificate. Milliseconds. Source: kubeadm CertificateValidityPeriod. */
export const CERTIFICATE_VALIDITY_MS = YEAR_MS;
/** How far before now a certificate starts to hold, against clocks that differ. Milliseconds. Source: client-go util/cert. */
export const BACKDATE_MS = 5 * 60 * 1000;

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

export function createCertificateAuthority(options: AuthorityOptions): KeyAndCertificate {
  const keys = newEcKeys();
  const name = nameOf(options);
  const certPem = certificate({
    issuer: name, subject: name, publicKey: keys.publicKey, signingKey: keys.privateKey,
    nowMs: options.nowMs, validityMs: options.validityMs ?? AUTHORITY_VALIDITY_MS,
    extensions: [
      keyUsage(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | CERT_SIGN),
      extension('2.5.29.19', sequence(trueValue), true),
      subjectKeyId(keys.publicKey),
      alternativeNames([options.commonName], []),
    ],
  });
  return { certPem, keyPem: ecKeyPem(keys.privateKey) };
}

export function issueCertificate(options: IssueOptions): KeyAndCertificate {
  const keys = newEcKeys();
  return { certPem: issueForKey({ ...options, publicKey: keys.publicKey }), keyPem: ecKeyPem(keys.privateKey) };
}

/** Issues a certificate for a key that its owner keeps (a CertificateSigningRequest). */
export function issueForKey(options: IssueOptions & { readonly publicKey: KeyObject }): string {
  const authority = authorityOf(options.ca);
  const dnsNames = options.dnsNames ?? [];
  const ipAddresses = options.ipAddresses ?? [];
  return certificate({
    issuer: authority.name, subject: nameOf(options), publicKey: options.publicKey, signingKey: authority.key,
    nowMs: options.nowMs, validityMs: options.validityMs ?? CERTIFICATE_VALIDITY_MS,
    extensions: [
      keyUsage(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT),
      extension('2.5.29.37', sequence(...options.usages.map((usage) => objectIdentifier(USAGE_OID[usage])))),
      extension('2.5.29.19', sequence(), true),
      subjectKeyId(options.publicKey),
      extension('2.5.29.35', sequence(implicit(0, authority.keyId))),
      ...(dnsNames.length + ipAddresses.length === 0 ? [] : [alternativeNames(dnsNames, ipAddresses)]),
    ],
  });
}

/** A server certificate that vouches for itself, as a kubelet without serving certificates makes one. */
export function selfSignedServerCertificate(options: Omit<IssueOptions, 'ca' | 'usages'>): KeyAndCertificate {
  const ca = createCertificateAuthority({ commonName: `${options.commonName}-ca@${Math.floor(options.nowMs / 1000)}`, nowMs: options.nowMs });
  return issueCertificate({ ...options, ca, usages: ['server'] });
}

/** The key pair that signs service account tokens: RSA 2048, as kubeadm's sa.key and sa.pub. */
export async function createSigningKeyPair(): Promise<{ readonly privateKeyPem: string; readonly publicKeyPem: string }> {
  const { privateKey, publicKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 });
  return {
    privateKeyPem: privateKey.export({ type: 'pkcs1', format: 'pem' }) as string,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }) as string,
  };
}

const USAGE_OID: Readonly<Record<CertificateUsage, string>> = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };
// Bits of KeyUsage, first bit leftmost (RFC 5280 §4.2.1.3).
const DIGITAL_SIGNATURE = 0x80;
const KEY_ENCIPHERMENT = 0x20;
const CERT_SIGN = 0x04;

const newEcKeys = () => generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
const ecKeyPem = (key: KeyObject): string => key.export({ type: 'sec1', format: 'pem' }) as string;

interface CertificateParts {
  readonly issuer: Der;
  readonly subject: Der;
  readonly publicKey: KeyObject;
  readonly signingKey: KeyObject;
  readonly nowMs: number;
  readonly validityMs: number;
  readonly extensions: readonly Der[];
}

function certificate(parts: CertificateParts): string {
  const algorithm = signatureAlgorithm(parts.signingKey);
  const body = sequence(
    explicit(0, integer(Buffer.from([2]))),
    integer(randomBytes(8)),
    algorithm,
    parts.issuer,
    sequence(time(parts.nowMs - BACKDATE_MS), time(parts.nowMs + parts.validityMs)),
    parts.subject,
    parts.publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, sequence(...parts.extensions)),
  );
  return pem('CERTIFICATE', sequence(body, algorithm, bitString(sign('sha256', body, parts.signingKey))));
}

function signatureAlgorithm(key: KeyObject): Der {
  switch (key.asymmetricKeyType) {
    case 'ec': return sequence(objectIdentifier('1.2.840.10045.4.3.2'));
    case 'rsa': return sequence(objectIdentifier('1.2.840.113549.1.1.11'), Buffer.from([0x05, 0x00]));
    default: throw new Error(`cannot sign certificates with a key of type ${key.asymmetricKeyType ?? 'unknown'}`);
  }
}

/** Organizations come before the common name, in the order of Go's pkix.Name. */
function nameOf({ commonName, organizations = [] }: Subject): Der {
  const attribute = (oid: string, text: string) => sequence(objectIdentifier(oid), utf8String(text));
  return sequence(
    ...(organizations.length === 0 ? [] : [set(...organizations.map((organization) => attribute('2.5.4.10', organization)).sort(Buffer.compare))]),
    set(attribute('2.5.4.3', commonName)),
  );
}

function extension(oid: string, value: Der, isCritical = false): Der {
  return sequence(objectIdentifier(oid), ...(isCritical ? [trueValue] : []), octetString(value));
}

function keyUsage(bits: number): Der {
  let unused = 0;
  while (((bits >> unused) & 1) === 0) unused++;
  return extension('2.5.29.15', bitString(Buffer.from([bits]), unused), true);
}

const subjectKeyId = (key: KeyObject): Der => extension('2.5.29.14', octetString(keyIdOf(key)));

/** SHA-1 of the subjectPublicKey bits (RFC 5280 §4.2.1.2): the last element of SubjectPublicKeyInfo. */
function keyIdOf(key: KeyObject): Buffer {
  const info = key.export({ type: 'spki', format: 'der' });
  const [, outer] = contentsOf(info, 0);
  const [, algorithmStart, algorithmEnd] = contentsOf(info, outer);
  if (algorithmStart > algorithmEnd) throw new Error('malformed public key');
  const [, bits, end] = contentsOf(info, algorithmEnd);
  return createHash('sha1').update(info.subarray(bits + 1, end)).digest();
}

/** Tag, start and end of the contents of the element at `at`. */
function contentsOf(der: Buffer, at: number): readonly [number, number, number] {
  const first = der[at + 1] ?? 0;
  if (first < 0x80) return [der[at] ?? 0, at + 2, at + 2 + first];
  const count = first & 0x7f;
  return [der[at] ?? 0, at + 2 + count, at + 2 + count + der.readUIntBE(at + 2, count)];
}

function alternativeNames(dnsNames: readonly string[], ipAddresses: readonly string[]): Der {
  const unique = <T>(items: readonly T[]) => [...new Set(items)];
  return extension('2.5.29.17', sequence(
    ...unique(dnsNames).map((name) => implicit(2, Buffer.from(name, 'latin1'))),
    ...unique(ipAddresses).map((address) => implicit(7, addressBytes(address))),
  ));
}

export function addressBytes(address: string): Buffer {
  switch (isIP(address)) {
    case 4: return Buffer.from(address.split('.').map(Number));
    case 6: {
      const [head = '', tail] = address.split('::');
      const groups = (text: string) => (text === '' ? [] : text.split(':'));
      const left = groups(head);
      const right = groups(tail ?? '');
      const all = tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
      return Buffer.from(all.flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 0xff]));
    }
    default: throw new Error(`${address} is not an IP address`);
  }
}

interface Authority {
  readonly key: KeyObject;
  readonly keyId: Buffer;
  readonly name: Der;
}

/** Reads the subject of the authority as it stands, so that issuer and subject match byte for byte. */
function authorityOf(ca: KeyAndCertificate): Authority {
  const key = createPrivateKey(ca.keyPem);
  const parsed = new X509Certificate(ca.certPem);
  if (!parsed.checkPrivateKey(key)) throw new Error('the key of the certificate authority does not belong to its certificate');
  const der = parsed.raw;
  // Certificate { TBSCertificate { [0] version, serialNumber, signature, issuer, validity, subject, ...
  let at = contentsOf(der, contentsOf(der, 0)[1])[1];
  for (let skipped = 0; skipped < 5; skipped++) at = contentsOf(der, at)[2];
  return { key, keyId: keyIdOf(createPublicKey(key)), name: der.subarray(at, contentsOf(der, at)[2]) };
}

export function pem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der).toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
