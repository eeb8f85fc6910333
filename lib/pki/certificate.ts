// Certificate authorities and the certificates they issue, as kubeadm makes them (ECDSA P-256 for speed).
// Written out value by value: a library that can do more takes a quarter of a second to load and to make those of a cluster.
import { createHash, createPrivateKey, generateKeyPair, generateKeyPairSync, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { parseIp } from '#lib/machinery/ip.ts';
import { bits, context, elements, flags, identifier, implicit, integer, nothing, octets, sequence, set, text, time, yes } from './der.ts';

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
const USAGE_OID: Readonly<Record<CertificateUsage, string>> = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' };

/** Sources: RFC 5280 §4.2, RFC 5758 §3.2, RFC 4055 §5, X.520. */
const OID = {
  commonName: '2.5.4.3', organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14', keyUsage: '2.5.29.15', alternativeName: '2.5.29.17', basicConstraints: '2.5.29.19', authorityKeyIdentifier: '2.5.29.35', extendedKeyUsage: '2.5.29.37',
} as const;
const SIGNATURES: Readonly<Record<string, Buffer>> = {
  ec: sequence(identifier('1.2.840.10045.4.3.2')), // ecdsa-with-SHA256
  rsa: sequence(identifier('1.2.840.113549.1.1.11'), nothing), // sha256WithRSAEncryption
};
const VERSION_3 = context(0, integer(Buffer.of(2)));
const SERIAL_BYTES = 16;
const DIGITAL_SIGNATURE = 0;
const KEY_ENCIPHERMENT = 2;
const CERT_SIGN = 5;

interface Content {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Buffer[];
}

export function createCertificateAuthority(options: AuthorityOptions): Promise<KeyAndCertificate> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const name = nameOf(options);
  const certPem = signed({
    issuer: name, subject: name, publicKey, ...validity(options.nowMs, options.validityMs ?? AUTHORITY_VALIDITY_MS),
    extensions: [
      extension(OID.keyUsage, flags([DIGITAL_SIGNATURE, KEY_ENCIPHERMENT, CERT_SIGN]), true),
      extension(OID.basicConstraints, sequence(yes), true),
      extension(OID.subjectKeyIdentifier, octets(keyIdentifier(publicKey))),
      extension(OID.alternativeName, sequence(implicit(2, Buffer.from(options.commonName)))),
    ],
  }, privateKey);
  return Promise.resolve({ certPem, keyPem: ecKeyPem(privateKey) });
}

/** Rejects when the authority's key does not belong to its certificate, or is of a type that cannot sign certificates here. */
export async function issueCertificate(options: IssueOptions): Promise<KeyAndCertificate> {
  const authority = new X509Certificate(options.ca.certPem);
  const signingKey = createPrivateKey(options.ca.keyPem);
  if (!authority.checkPrivateKey(signingKey)) throw new Error('the key of the certificate authority does not belong to its certificate');
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const names = [
    ...[...new Set(options.dnsNames)].map((name) => implicit(2, Buffer.from(name))),
    ...[...new Set(options.ipAddresses)].map((address) => implicit(7, addressBytes(address))),
  ];
  const certPem = signed({
    issuer: subjectOf(authority), subject: nameOf(options), publicKey, ...validity(options.nowMs, options.validityMs ?? CERTIFICATE_VALIDITY_MS),
    extensions: [
      extension(OID.keyUsage, flags([DIGITAL_SIGNATURE, KEY_ENCIPHERMENT]), true),
      extension(OID.extendedKeyUsage, sequence(...options.usages.map((usage) => identifier(USAGE_OID[usage])))),
      extension(OID.basicConstraints, sequence(), true),
      extension(OID.subjectKeyIdentifier, octets(keyIdentifier(publicKey))),
      extension(OID.authorityKeyIdentifier, sequence(implicit(0, keyIdentifier(authority.publicKey)))),
      ...(names.length === 0 ? [] : [extension(OID.alternativeName, sequence(...names))]),
    ],
  }, signingKey);
  return { certPem, keyPem: ecKeyPem(privateKey) };
}

/** The certificate, as PEM. */
function signed({ issuer, subject, publicKey, notBeforeMs, notAfterMs, extensions }: Content, signingKey: KeyObject): string {
  const algorithm = SIGNATURES[signingKey.asymmetricKeyType ?? ''];
  if (!algorithm) throw new Error(`cannot sign certificates with a key of type ${signingKey.asymmetricKeyType ?? 'unknown'}`);
  const serial = randomBytes(SERIAL_BYTES);
  serial.writeUInt8(serial.readUInt8(0) & 0x7f, 0); // positive
  const body = sequence(
    VERSION_3, integer(serial), algorithm, issuer, sequence(time(notBeforeMs), time(notAfterMs)), subject,
    publicKey.export({ type: 'spki', format: 'der' }), context(3, sequence(...extensions)),
  );
  const certificate = sequence(body, algorithm, bits(sign('sha256', body, signingKey)));
  return `-----BEGIN CERTIFICATE-----\n${certificate.toString('base64').replace(/.{1,64}/g, '$&\n')}-----END CERTIFICATE-----\n`;
}

const extension = (oid: string, content: Buffer, isCritical = false): Buffer => sequence(identifier(oid), ...(isCritical ? [yes] : []), octets(content));

/** Source: RFC 5280 §4.2.1.2, method 1. */
function keyIdentifier(key: KeyObject): Buffer {
  const [spki] = elements(key.export({ type: 'spki', format: 'der' }));
  const [, keyBits] = elements(spki?.content ?? Buffer.of());
  return createHash('sha1').update((keyBits?.content ?? Buffer.of()).subarray(1)).digest();
}

/** As it stands in the certificate: an issuer's name has to be that, byte for byte. */
function subjectOf(certificate: X509Certificate): Buffer {
  const [outer] = elements(certificate.raw);
  const [body] = elements(outer?.content ?? Buffer.of());
  const fields = elements(body?.content ?? Buffer.of());
  const subject = fields[fields[0]?.tag === VERSION_3[0] ? 5 : 4];
  if (!subject) throw new Error('the certificate of the authority has no subject');
  return subject.whole;
}

function addressBytes(address: string): Uint8Array {
  const bytes = parseIp(address);
  if (!bytes) throw new Error(`"${address}" is no IP address to issue a certificate for`);
  return bytes;
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

function validity(nowMs: number, validityMs: number): { notBeforeMs: number; notAfterMs: number } {
  return { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + validityMs };
}

/** Organizations come before the common name, in the order of Go's pkix.Name: of one kind together, in a set. */
function nameOf({ commonName, organizations = [] }: Subject): Buffer {
  const attribute = (oid: string, words: string): Buffer => sequence(identifier(oid), text(words));
  const sorted = organizations.map((words) => attribute(OID.organization, words)).sort(Buffer.compare);
  return sequence(...(sorted.length === 0 ? [] : [set(...sorted)]), set(attribute(OID.commonName, commonName)));
}

const ecKeyPem = (key: KeyObject): string => key.export({ type: 'sec1', format: 'pem' }) as string;
