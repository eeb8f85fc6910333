// Archives of images: what `docker save` writes, and an OCI image layout in a tar archive, each perhaps compressed with gzip.
import { createHash } from 'node:crypto';
import { createWriteStream, mkdtempSync, openSync, readSync, closeSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { formatImageReference, parseImageReference } from '../../core/image-reference.ts';
import { goArchitecture, MalformedImage, MANIFEST_LIMIT_BYTES, parseIndex, parseJson, pickManifest, type Descriptor } from '../../core/oci.ts';
import { addImage, fileStream, sha256, type BlobSource, type ContentOptions, type ImageRecord } from './image-content.ts';

/** Most that an archive may hold, uncompressed; bytes. */
const ARCHIVE_LIMIT_BYTES = 64 * 1024 ** 3;
const MEMBER_LIMIT = 100_000;
const NAME_ANNOTATION = 'io.containerd.image.name';
const REFERENCE_ANNOTATION = 'org.opencontainers.image.ref.name';

export interface LoadedImage {
  readonly record: ImageRecord;
  /** Normalised references. */
  readonly names: readonly string[];
}

/** `name` is for an archive that names no image. Throws MalformedImage. */
export async function loadArchive(path: string, name: string, options: ContentOptions): Promise<LoadedImage[]> {
  const scratch = mkdtempSync(join(options.root, 'load-'));
  try {
    const archive = await Archive.read(path, scratch);
    if (archive.has('index.json')) {
      const loaded = await loadLayout(archive, name, options);
      if (loaded.some(({ names }) => names.length > 0) || !archive.has('manifest.json')) return named(loaded);
    }
    if (archive.has('manifest.json')) return named(await loadDockerSave(archive, name, options));
    throw new MalformedImage('the archive is neither an OCI image layout (index.json) nor what docker save writes (manifest.json)');
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function named(images: LoadedImage[]): LoadedImage[] {
  if (images.every(({ names }) => names.length === 0)) throw new MalformedImage('the archive names no image: give it a name');
  return images;
}

/** The members of an archive as files in a folder of ours; their names are keys, never paths. */
class Archive {
  readonly #files = new Map<string, string>();
  readonly #links = new Map<string, string>();

  static async read(path: string, scratch: string): Promise<Archive> {
    const archive = new Archive();
    const entries = extract();
    let bytes = 0;
    const reading = (async () => {
      for await (const entry of entries) {
        const { type, name, linkname, size } = entry.header;
        const key = posix.normalize(name).replace(/^\/+/, '');
        if ((bytes += size) > ARCHIVE_LIMIT_BYTES) throw new MalformedImage(`the archive is larger than ${ARCHIVE_LIMIT_BYTES} bytes`);
        if (archive.#files.size > MEMBER_LIMIT) throw new MalformedImage(`the archive has more than ${MEMBER_LIMIT} members`);
        if (type === 'file') {
          const file = join(scratch, String(archive.#files.size));
          archive.#files.set(key, file);
          await pipeline(entry as unknown as Readable, createWriteStream(file));
        } else if (type === 'symlink') archive.#links.set(key, posix.normalize(posix.join(posix.dirname(key), linkname)));
        else if (type === 'link') archive.#links.set(key, posix.normalize(linkname));
        entry.resume();
      }
    })();
    try {
      await Promise.all([pipeline([fileStream(path), ...(isGzip(path) ? [createGunzip()] : []), entries as unknown as NodeJS.WritableStream]), reading]);
    } catch (error) {
      if (error instanceof MalformedImage || (error instanceof Error && 'code' in error && /^E[A-Z]+$/.test(String(error.code)) && !String(error.code).startsWith('ERR_'))) throw error;
      throw new MalformedImage(`the archive cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    return archive;
  }

  has(name: string): boolean {
    return this.#files.has(name) || this.#links.has(name);
  }

  /** Path on disk. docker save links layers that several images share. */
  file(name: string): string {
    const found = this.#files.get(posix.normalize(name)) ?? this.#files.get(this.#links.get(posix.normalize(name)) ?? '');
    if (found === undefined) throw new MalformedImage(`the archive lacks ${name}`);
    return found;
  }

  bytes(name: string): Buffer {
    const path = this.file(name);
    if (statSync(path).size > MANIFEST_LIMIT_BYTES) throw new MalformedImage(`${name} is larger than ${MANIFEST_LIMIT_BYTES} bytes`);
    return readFileSync(path);
  }

  blob(digest: string): string {
    return `blobs/${digest.replace(':', '/')}`;
  }
}

function isGzip(path: string): boolean {
  const file = openSync(path, 'r');
  try {
    const magic = Buffer.alloc(2);
    return readSync(file, magic, 0, 2, 0) === 2 && magic.equals(Buffer.from([0x1f, 0x8b]));
  } finally {
    closeSync(file);
  }
}

async function loadLayout(archive: Archive, name: string, options: ContentOptions): Promise<LoadedImage[]> {
  const index = parseIndex(parseJson(archive.bytes('index.json'), 'index.json'));
  if (!index) throw new MalformedImage('index.json lists no manifests');
  const source: BlobSource = { open: (descriptor) => Promise.resolve(fileStream(archive.file(archive.blob(descriptor.digest)))) };
  const loaded = new Map<string, LoadedImage>();
  for (const { descriptor } of index) {
    const manifest = manifestBytes(archive, descriptor);
    if (!manifest) continue; // of other platforms only
    const names = [...namesOf(descriptor), ...(index.length === 1 && name !== '' ? [referenceOf(name)] : [])];
    const digest = sha256(manifest);
    const before = loaded.get(digest)?.names ?? [];
    loaded.set(digest, { record: await addImage({ manifest, source, repoDigests: [], isLoaded: true }, options), names: [...new Set([...before, ...names])] });
  }
  if (loaded.size === 0) throw new MalformedImage(`the archive has no image for linux/${goArchitecture(process.arch)}`);
  return [...loaded.values()];
}

/** The manifest itself, or of an index in the archive the one for this machine. */
function manifestBytes(archive: Archive, descriptor: Descriptor): Buffer | undefined {
  const bytes = archive.bytes(archive.blob(descriptor.digest));
  if (sha256(bytes) !== descriptor.digest) throw new MalformedImage(`${descriptor.digest} in the archive is damaged`);
  const inner = parseIndex(parseJson(bytes, descriptor.digest));
  if (!inner) return bytes;
  const picked = pickManifest(inner, goArchitecture(process.arch));
  return picked && manifestBytes(archive, picked);
}

function namesOf({ annotations }: Descriptor): string[] {
  const full = annotations[NAME_ANNOTATION];
  if (full !== undefined) return [referenceOf(full)];
  const short = annotations[REFERENCE_ANNOTATION] ?? '';
  return /[:/]/.test(short) ? [referenceOf(short)] : []; // a mere tag names nothing
}

function referenceOf(text: string): string {
  const reference = parseImageReference(text);
  if (!reference) throw new MalformedImage(`"${text}" is no name of an image`);
  return formatImageReference(reference);
}

interface SavedImage { readonly Config: string; readonly RepoTags: readonly string[] | null; readonly Layers: readonly string[] }

function savedImages(bytes: Buffer): SavedImage[] {
  let parsed: unknown;
  try { parsed = JSON.parse(bytes.toString('utf8')); } catch (error) { throw new MalformedImage('manifest.json is not JSON', { cause: error }); }
  const isSaved = (value: unknown): value is SavedImage => typeof value === 'object' && value !== null && 'Config' in value && typeof value.Config === 'string' && 'Layers' in value && Array.isArray(value.Layers);
  if (!Array.isArray(parsed) || !parsed.every(isSaved)) throw new MalformedImage('manifest.json is not what docker save writes');
  return parsed;
}

/** The archive has no manifest of its own: one is made of its configuration and layers, as containerd does. */
async function loadDockerSave(archive: Archive, name: string, options: ContentOptions): Promise<LoadedImage[]> {
  const images = savedImages(archive.bytes('manifest.json'));
  const loaded: LoadedImage[] = [];
  for (const { Config, RepoTags, Layers } of images) {
    const paths = new Map<string, string>();
    const describe = async (path: string, mediaType: string): Promise<Omit<Descriptor, 'annotations'>> => {
      const file = archive.file(path);
      const digest = await digestOfFile(file);
      paths.set(digest, file);
      return { mediaType, digest, size: statSync(file).size };
    };
    const layers = [];
    for (const layer of Layers) layers.push(await describe(layer, 'application/vnd.docker.image.rootfs.diff.tar'));
    const manifest = Buffer.from(JSON.stringify({
      schemaVersion: 2, mediaType: 'application/vnd.docker.distribution.manifest.v2+json', config: await describe(Config, 'application/vnd.docker.container.image.v1+json'), layers,
    }));
    const source: BlobSource = { open: ({ digest }) => Promise.resolve(fileStream(paths.get(digest) ?? '')) };
    const names = [...(RepoTags ?? []), ...(images.length === 1 && name !== '' ? [name] : [])].map(referenceOf);
    loaded.push({ record: await addImage({ manifest, source, repoDigests: [], isLoaded: true }, options), names: [...new Set(names)] });
  }
  return loaded;
}

async function digestOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(fileStream(path), hash);
  return `sha256:${hash.digest('hex')}`;
}
