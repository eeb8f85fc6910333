// The serving certificate: as configured, else one that the kubelet makes for itself and keeps.
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { selfSignedServerCertificate } from '#lib/pki/certificate.ts';

export interface ServingCertificate {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateOptions {
  readonly certFile: string;
  readonly keyFile: string;
  readonly folder: string;
  readonly hostname: string;
  readonly addresses: readonly string[];
  readonly nowMs: number;
}

export async function servingCertificate({ certFile, keyFile, folder, hostname, addresses, nowMs }: CertificateOptions): Promise<ServingCertificate> {
  if (certFile !== '' || keyFile !== '') return { cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') };
  const [certPath, keyPath] = [join(folder, 'kubelet.crt'), join(folder, 'kubelet.key')];
  const known = await Promise.all([readFile(certPath, 'utf8'), readFile(keyPath, 'utf8')]).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (known) return { cert: known[0], key: known[1] };
  const { certPem, keyPem } = await selfSignedServerCertificate({ commonName: `${hostname}@${Math.floor(nowMs / 1000)}`, dnsNames: [hostname], ipAddresses: addresses, nowMs });
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await writeFile(`${keyPath}.new`, keyPem, { mode: 0o600 });
  await chmod(`${keyPath}.new`, 0o600);
  // The key first: with a certificate in place its key is there, too.
  await rename(`${keyPath}.new`, keyPath);
  await writeFile(`${certPath}.new`, certPem, { mode: 0o644 });
  await rename(`${certPath}.new`, certPath);
  return { cert: certPem, key: keyPem };
}
