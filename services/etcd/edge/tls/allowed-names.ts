// Which certificates are let in by the names in them (--peer-cert-allowed-cn, --peer-cert-allowed-hostname, --client-cert-allowed-hostname).
// A member looks at who connects to it, and at the members it connects to. Source: etcd v3.6, client/pkg/transport/listener.go (baseConfig).
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { TlsError } from './tls-error.ts';

export interface AllowedNames {
  readonly commonNames: readonly string[];
  /** Or addresses. */
  readonly hostnames: readonly string[];
}

const quoted = (names: readonly string[]): string => `[${names.map((name) => JSON.stringify(name)).join(' ')}]`;

/** Throws TlsError: one kind of names at a time. */
export function checkAllowedNames({ commonNames, hostnames }: AllowedNames): void {
  if (commonNames.length > 0 && hostnames.length > 0) throw new TlsError(`AllowedCNs and AllowedHostnames are mutually exclusive (cns=${quoted(commonNames)}, hostnames=${quoted(hostnames)})`);
}

/** What is wrong with it; undefined: nothing. */
export function objectionToNames(certificate: X509Certificate, { commonNames, hostnames }: AllowedNames): string | undefined {
  if (commonNames.length === 0 && hostnames.length === 0) return undefined;
  const isAllowed = commonNames.some((name) => name === commonNameOf(certificate)) || hostnames.some((name) => isFor(certificate, name));
  return isAllowed ? undefined : 'client certificate authentication failed';
}

/** The last one, as Go has it. */
function commonNameOf({ subject }: X509Certificate): string {
  return subject?.split('\n').filter((line) => line.startsWith('CN=')).at(-1)?.slice('CN='.length) ?? ''; // the subject may be empty: undefined, whatever the types say
}

/** By its alternative names only: the common name counts for nothing, as in Go. */
export function isFor(certificate: X509Certificate, host: string): boolean {
  const address = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) !== 0) return certificate.checkIP(address) !== undefined;
  return certificate.checkHost(host.replace(/\.$/, ''), { subject: 'never', partialWildcards: false }) !== undefined;
}
