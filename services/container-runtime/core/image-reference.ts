// Image references as Docker and containerd read them: `nginx` is docker.io/library/nginx:latest.

export interface ImageReference {
  /** Registry and path: docker.io/library/nginx. */
  readonly repository: string;
  /** Empty when the reference has a digest and no tag. */
  readonly tag: string;
  /** `sha256:...`, or empty. */
  readonly digest: string;
}

const PATH = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const HOST = /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::\d+)?$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*:[0-9a-fA-F]{32,}$/;

/** Undefined when the text is no image reference. Source: distribution/reference, ParseDockerRef. */
export function parseImageReference(text: string): ImageReference | undefined {
  const [beforeDigest = '', digest = '', ...more] = text.split('@');
  if (more.length > 0 || (text.includes('@') && !DIGEST.test(digest))) return undefined;
  const slash = beforeDigest.lastIndexOf('/');
  const colon = beforeDigest.indexOf(':', slash + 1);
  const name = colon < 0 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon < 0 ? '' : beforeDigest.slice(colon + 1);
  if (colon >= 0 && !TAG.test(tag)) return undefined;

  const first = name.split('/')[0] ?? '';
  const hasHost = name.includes('/') && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  const host = hasHost ? first : 'docker.io';
  let path = hasHost ? name.slice(first.length + 1) : name;
  if (!HOST.test(host) || !PATH.test(path)) return undefined;
  const registry = host === 'index.docker.io' ? 'docker.io' : host;
  if (registry === 'docker.io' && !path.includes('/')) path = `library/${path}`;
  // A digest decides alone: containerd drops the tag beside it.
  return { repository: `${registry}/${path}`, tag: digest === '' ? tag || 'latest' : '', digest };
}

export const formatImageReference = ({ repository, tag, digest }: ImageReference): string =>
  digest === '' ? `${repository}:${tag}` : `${repository}@${digest}`;
