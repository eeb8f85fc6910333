// Pulling an image: the manifest for this machine, its configuration and the layers that are not here yet.
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AuthConfig, Sent } from '#lib/cri/messages.ts';
import { formatImageReference, type ImageReference } from '../../core/image-reference.ts';
import { goArchitecture, MANIFEST_LIMIT_BYTES, MANIFEST_TYPES, parseIndex, parseJson, pickManifest, type Descriptor } from '../../core/oci.ts';
import { addImage, fileStream, readAll, sha256, type ContentOptions, type ImageRecord } from '../content/image-content.ts';
import { ImageError } from '../images.ts';
import { endpointsOf, RegistryUnreachable, Repository, statusText } from './client.ts';

export { RegistryUnreachable } from './client.ts';

/** How often a blob is asked for again where its connection broke; it goes on where it was. */
const BLOB_ATTEMPTS = 5;
const RETRY_MS = 200;
const MANIFEST_BYTES_ACCEPT = MANIFEST_TYPES.join(', ');

export interface PullOptions extends ContentOptions {
  readonly registries: string;
}

/** Throws RegistryUnreachable when no endpoint answers, else ImageError or MalformedImage. */
export async function pullFromRegistry(reference: ImageReference, auth: Sent<AuthConfig> | undefined, options: PullOptions): Promise<ImageRecord> {
  const [host = '', ...path] = reference.repository.split('/');
  const text = formatImageReference(reference);
  const repositories = endpointsOf(host, options.registries).map((endpoint) => new Repository(endpoint, path.join('/'), auth));
  const scratch = mkdtempSync(join(options.root, 'pull-'));
  try {
    const { repository, digest } = await resolve(repositories, reference, text);
    const manifest = await manifestOf(repository, digest);
    let count = 0;
    return await addImage({
      manifest, isLoaded: false, repoDigests: [`${reference.repository}@${digest}`],
      source: { open: (descriptor) => download(repository, descriptor, join(scratch, String((count += 1)))) },
    }, options);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    for (const { endpoint: { agent } } of repositories) agent.destroy();
  }
}

/** The first endpoint that has the image, and the digest it gives to the name. */
async function resolve(repositories: readonly Repository[], { tag, digest }: ImageReference, text: string): Promise<{ repository: Repository; digest: string }> {
  const prefix = `failed to resolve reference "${text}": `;
  let failure: Error = new ImageError('failed', `${prefix}no registry is configured to pull from`);
  let mostTelling = 0; // an answer tells more than silence, a refusal more than an absence
  const note = (weight: number, error: Error): void => {
    if (weight >= mostTelling) [failure, mostTelling] = [error, weight];
  };
  for (const repository of repositories) {
    try {
      const response = await repository.send(`manifests/${digest === '' ? tag : digest}`, { method: 'HEAD', headers: { accept: MANIFEST_BYTES_ACCEPT } });
      response.resume();
      const { statusCode = 0 } = response;
      if (statusCode === 200) {
        const found = response.headers['docker-content-digest'];
        return { repository, digest: typeof found === 'string' ? found : digest !== '' ? digest : sha256(await readManifest(repository, tag)) };
      }
      if (statusCode === 404) note(2, new ImageError('not-found', `${prefix}${text}: not found`));
      else if (statusCode === 401 || statusCode === 403) note(3, new ImageError('failed', `${prefix}pull access denied, repository does not exist or may require authorization: server message: ${statusCode === 401 ? 'insufficient_scope: ' : ''}authorization failed`));
      else note(3, new ImageError('failed', `${prefix}unexpected status from HEAD request to ${repository.url(`manifests/${tag || digest}`).href}: ${statusText(response)}`));
    } catch (error) {
      if (error instanceof RegistryUnreachable) note(1, new RegistryUnreachable(prefix + error.message, { cause: error }));
      else note(3, error instanceof ImageError ? new ImageError(error.reason, prefix + error.message, { cause: error }) : new ImageError('failed', prefix + (error instanceof Error ? error.message : String(error)), { cause: error }));
    }
  }
  throw failure;
}

async function readManifest(repository: Repository, name: string): Promise<Buffer> {
  const response = await repository.send(`manifests/${name}`, { method: 'GET', headers: { accept: MANIFEST_BYTES_ACCEPT } });
  if (response.statusCode !== 200) {
    response.resume();
    throw new ImageError('failed', `unexpected status from GET request to ${repository.url(`manifests/${name}`).href}: ${statusText(response)}`);
  }
  return readAll(response, MANIFEST_LIMIT_BYTES, 'the manifest');
}

/** Through an index to the manifest for this machine; each is what its digest says. */
async function manifestOf(repository: Repository, digest: string): Promise<Buffer> {
  const bytes = await readManifest(repository, digest);
  if (sha256(bytes) !== digest) throw new ImageError('failed', `the manifest ${digest} is damaged: its bytes have the digest ${sha256(bytes)}`);
  const index = parseIndex(parseJson(bytes, 'the manifest'));
  if (!index) return bytes;
  const picked = pickManifest(index, goArchitecture(process.arch));
  if (!picked) throw new ImageError('not-found', `no match for platform in manifest: not found`);
  if (picked.digest === digest) throw new ImageError('failed', `the index ${digest} lists itself`);
  return manifestOf(repository, picked.digest);
}

/** First whole into a file: unpacking is slower than the network, and a connection that breaks is taken up again. */
async function download(repository: Repository, { digest, size }: Descriptor, path: string): Promise<Readable> {
  for (let attempt = 1; ; attempt += 1) {
    const have = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    try {
      if (have < size || size === 0) await downloadFrom(repository, digest, { path, have, size });
      const got = statSync(path).size;
      if (got === size) return fileStream(path);
      if (got > size) throw new ImageError('failed', `blob ${digest} is larger than the ${size} bytes that the manifest says`);
      throw new RegistryUnreachable(`blob ${digest} ended after ${got} of ${size} bytes`);
    } catch (error) {
      const isBroken = error instanceof RegistryUnreachable || (error instanceof Error && 'code' in error && ['ECONNRESET', 'ETIMEDOUT', 'ERR_STREAM_PREMATURE_CLOSE', 'EPIPE'].includes(String(error.code)));
      if (!isBroken) throw error;
      if (attempt === BLOB_ATTEMPTS) throw new ImageError('failed', `failed to copy: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      await sleep(RETRY_MS * attempt);
    }
  }
}

async function downloadFrom(repository: Repository, digest: string, { path, have, size }: { readonly path: string; readonly have: number; readonly size: number }): Promise<void> {
  const response = await repository.send(`blobs/${digest}`, { method: 'GET', headers: have > 0 ? { range: `bytes=${have}-` } : {} });
  if (response.statusCode !== 200 && response.statusCode !== 206) {
    response.resume();
    throw new ImageError('failed', `failed to copy: httpReadSeeker: failed open: unexpected status from GET request to ${repository.url(`blobs/${digest}`).href}: ${statusText(response)}`);
  }
  let bytes = response.statusCode === 206 ? have : 0;
  const limited = (async function* () {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if ((bytes += chunk.length) > size) throw new ImageError('failed', `blob ${digest} is larger than the ${size} bytes that the manifest says`);
      yield chunk;
    }
  })();
  await pipeline(limited, createWriteStream(path, { flags: response.statusCode === 206 ? 'a' : 'w' }));
}
