// A certificate that a member makes for itself (--auto-tls, --peer-auto-tls) and keeps in its data directory.
// Source: etcd v3.6, client/pkg/transport/listener.go (SelfCert).
import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { TlsError } from './tls-error.ts';

const YEAR_MS = 365 * 24 * 3600 * 1000;
const EC = { name: 'ECDSA', namedCurve: 'P-521', hash: 'SHA-512' } as const;
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

export interface SelfSignedOptions {
  readonly folder: string;
  /** Names and addresses that it is for. */
  readonly hosts: readonly string[];
  readonly validityYears: number;
  readonly nowMs: number;
  readonly log: Logger;
}

/** Paths of the certificate and its key, which are made unless they are there already; how long they are good is not looked at then. Throws TlsError. */
export async function selfSignedFiles({ folder, hosts, validityYears, nowMs, log }: SelfSignedOptions): Promise<{ readonly certFile: string; readonly keyFile: string }> {
  if (validityYears <= 0) {
    const error = 'selfSignedCertValidity is invalid,it should be greater than 0';
    log.warn({ error }, 'cannot generate cert');
    throw new TlsError(error);
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const files = { certFile: resolve(join(folder, 'cert.pem')), keyFile: resolve(join(folder, 'key.pem')) };
  if (existsSync(files.certFile) && existsSync(files.keyFile)) return files;
  const notAfter = new Date(nowMs + validityYears * YEAR_MS);
  log.warn({ 'certificate-validity-bound-not-after': notAfter.toISOString() }, 'automatically generate certificates');
  const { certPem, keyPem } = await selfSigned(hosts, new Date(nowMs), notAfter);
  await writeFile(files.certFile, certPem);
  log.info({ path: files.certFile }, 'created cert file');
  await writeFile(files.keyFile, keyPem, { mode: 0o600 });
  log.info({ path: files.keyFile }, 'created key file');
  return files;
}

/** 128 bits, as etcd's; the first ones so that it is positive, and as long as that in DER. */
function randomSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return bytes.toString('hex');
}

async function selfSigned(hosts: readonly string[], notBefore: Date, notAfter: Date): Promise<{ certPem: string; keyPem: string }> {
  await import('reflect-metadata'); // what the next is built on
  const x509 = await import('@peculiar/x509');
  const keys = await webcrypto.subtle.generateKey(EC, true, ['sign', 'verify']);
  const names = [...new Set(hosts)].map((value) => ({ type: isIP(value) === 0 ? 'dns' as const : 'ip' as const, value }));
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: randomSerial(), name: [{ O: ['etcd'] }], notBefore, notAfter, keys, signingAlgorithm: EC,
    extensions: [
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyEncipherment | x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.cRLSign, true),
      new x509.ExtendedKeyUsageExtension([SERVER_AUTH]),
      new x509.BasicConstraintsExtension(true, undefined, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ...(names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(names)]),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  return { certPem: `${certificate.toString('pem')}\n`, keyPem: createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({ type: 'sec1', format: 'pem' }) as string };
}
