// Image references: the tag that is meant when none is written, and the registry a secret belongs to.
// Source: pkg/util/parsers, pkg/credentialprovider.

export class ImageNameError extends Error {
  override readonly name = 'ImageNameError';
}

const REFERENCE = /^(?:[A-Za-z0-9][A-Za-z0-9.-]*(?::\d+)?\/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$/;

/** `nginx` is `nginx:latest`. Throws ImageNameError for what is no reference. */
export function withDefaultTag(image: string): string {
  if (!REFERENCE.test(image)) {
    const why = REFERENCE.test(image.toLowerCase()) ? 'repository name must be lowercase' : 'invalid reference format';
    throw new ImageNameError(`couldn't parse image name ${JSON.stringify(image)}: ${why}`);
  }
  const afterSlash = image.slice(image.lastIndexOf('/') + 1);
  return afterSlash.includes(':') || image.includes('@') ? image : `${image}:latest`;
}

/** Whether a pull is due by policy when the image is there or not; `never`: it is missing and may not be pulled. */
export function pullDecision(policy: string | undefined, image: string, isPresent: boolean): 'pull' | 'use' | 'never' {
  const effective = policy ?? (/(:latest|^[^:@]*)$/.test(image.slice(image.lastIndexOf('/') + 1)) && !image.includes('@') ? 'Always' : 'IfNotPresent');
  if (effective === 'Never') return isPresent ? 'use' : 'never';
  return effective === 'Always' || !isPresent ? 'pull' : 'use';
}

export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
  readonly auth: string;
  readonly identityToken: string;
}

const DEFAULT_REGISTRIES = ['index.docker.io', 'docker.io'];

/** Credentials for the image from the text of a `.dockerconfigjson`; undefined when it has none for its registry. */
export function credentialsFor(image: string, dockerConfigJson: string): RegistryCredentials | undefined {
  const [first = ''] = image.split('/');
  const hasRegistry = image.includes('/') && (first.includes('.') || first.includes(':') || first === 'localhost');
  const registries = hasRegistry ? [first] : DEFAULT_REGISTRIES;
  const parsed = JSON.parse(dockerConfigJson) as { auths?: Record<string, { username?: string; password?: string; auth?: string; identitytoken?: string }> };
  for (const [name, entry] of Object.entries(parsed.auths ?? {})) {
    const host = name.replace(/^https?:\/\//, '').split('/')[0] ?? '';
    if (!registries.includes(host) && !(host.startsWith('*.') && registries.some((one) => one.endsWith(host.slice(1))))) continue;
    const [user = '', ...rest] = entry.auth === undefined ? [] : atob(entry.auth).split(':');
    return { username: entry.username ?? user, password: entry.password ?? rest.join(':'), auth: entry.auth ?? '', identityToken: entry.identitytoken ?? '' };
  }
  return undefined;
}
