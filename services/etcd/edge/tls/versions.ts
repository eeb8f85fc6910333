// --tls-min-version and --tls-max-version. Source: etcd v3.6, client/pkg/tlsutil/versions.go; embed.Config.Validate.
import type { SecureVersion } from 'node:tls';
import { TlsError } from './tls-error.ts';

/** In their order. */
const VERSIONS: Readonly<Record<string, SecureVersion>> = { 'TLS1.2': 'TLSv1.2', 'TLS1.3': 'TLSv1.3' };

/** undefined: not said. Throws TlsError. */
function versionOf(text: string): SecureVersion | undefined {
  if (text === '') return undefined;
  const version = VERSIONS[text];
  if (version === undefined) throw new TlsError(`unexpected TLS version ${JSON.stringify(text)} (must be one of: TLS1.2, TLS1.3)`);
  return version;
}

export interface VersionFlags {
  readonly tlsMinVersion: string;
  readonly tlsMaxVersion: string;
  readonly cipherSuites: readonly string[];
}

/** Throws TlsError. Without a limit: from 1.2 to the highest there is. */
export function versionsOf({ tlsMinVersion, tlsMaxVersion, cipherSuites }: VersionFlags): { readonly minVersion: SecureVersion; readonly maxVersion: SecureVersion } {
  const [min, max] = [versionOf(tlsMinVersion), versionOf(tlsMaxVersion)];
  if (min === 'TLSv1.3' && max === 'TLSv1.2') throw new TlsError(`min version (${tlsMinVersion}) is greater than max version (${tlsMaxVersion})`);
  if (min === 'TLSv1.3' && cipherSuites.length > 0) throw new TlsError('cipher suites cannot be configured when only TLS1.3 is enabled');
  return { minVersion: min ?? 'TLSv1.2', maxVersion: max ?? 'TLSv1.3' };
}
