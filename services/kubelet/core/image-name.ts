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

const DOCKER_HUB = ['index.docker.io', 'docker.io'];

interface DockerConfigEntry {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly identitytoken?: string;
}

/** The part of a Secret that holds registry credentials. */
export interface PullSecret {
  readonly type?: string | undefined;
  readonly data?: Readonly<Record<string, string>> | undefined;
}

/** All credentials that pull secrets have for the image, the most specific first. Throws ImageNameError for a malformed secret. */
export function credentialsFor(image: string, secrets: readonly PullSecret[]): RegistryCredentials[] {
  const entries = secrets.flatMap(entriesOf).map(([key, entry]) => ({ key: registryKey(key), entry }));
  const target = imageLocation(image);
  return entries.filter(({ key }) => keyMatches(key, target))
    .sort((left, right) => (left.key < right.key ? 1 : left.key > right.key ? -1 : 0)) // a longer path comes before its beginning
    .map(({ entry }) => credentialsOf(entry));
}

function entriesOf({ type, data = {} }: PullSecret): [string, DockerConfigEntry][] {
  const isOld = type === 'kubernetes.io/dockercfg' || (type === undefined && data['.dockerconfigjson'] === undefined);
  const encoded = data[isOld ? '.dockercfg' : '.dockerconfigjson'];
  if (encoded === undefined) return [];
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))));
  } catch (error) {
    throw new ImageNameError(`an image pull secret is not JSON`, { cause: error });
  }
  const entries = isOld ? parsed : (parsed as { auths?: unknown } | null)?.auths;
  return typeof entries === 'object' && entries !== null ? Object.entries(entries as Record<string, DockerConfigEntry>) : [];
}

/** Host and path; the version of the API that people write after the host says nothing. */
function registryKey(key: string): string {
  const [host = '', ...path] = key.replace(/^https?:\/\//, '').split('/').filter((part, index) => index === 0 || part !== '');
  return [host, ...(path[0] === 'v1' || path[0] === 'v2' ? path.slice(1) : path)].join('/');
}

function imageLocation(image: string): string {
  const [first = ''] = image.split('/');
  const hasRegistry = image.includes('/') && (first.includes('.') || first.includes(':') || first === 'localhost');
  return hasRegistry ? image : `docker.io/${image.includes('/') ? '' : 'library/'}${image}`;
}

/** `*` in a key is any part of one label of the host; ports must be the same; the path must begin as the image's. */
function keyMatches(key: string, target: string): boolean {
  const [keyHost = '', ...keyPath] = key.split('/');
  const [host = '', ...path] = target.split('/');
  if (!keyPath.every((part, index) => (index === keyPath.length - 1 ? (path[index] ?? '').startsWith(part) : path[index] === part))) return false;
  if (DOCKER_HUB.includes(host)) return DOCKER_HUB.includes(keyHost);
  const [keyName = '', keyPort = ''] = keyHost.split(':');
  const [name = '', port = ''] = host.split(':');
  const [keyLabels, labels] = [keyName.split('.'), name.split('.')];
  return keyPort === port && keyLabels.length === labels.length && keyLabels.every((label, index) => isGlob(label, labels[index] ?? ''));
}

const isGlob = (pattern: string, text: string): boolean => new RegExp(`^${pattern.split('*').map((part) => part.replace(/[^\w-]/g, '\\$&')).join('.*')}$`).test(text);

function credentialsOf({ username, password, auth = '', identitytoken = '' }: DockerConfigEntry): RegistryCredentials {
  const [user = '', ...rest] = auth === '' ? [] : atob(auth).split(':');
  return { username: username ?? user, password: password ?? rest.join(':'), auth, identityToken: identitytoken };
}
