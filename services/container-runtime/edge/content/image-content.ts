// Published images on this node's disk: unpacked layers, shared between images, and one small record an image. Loaded only
// when such an image is added; what is there already is read by edge/images.ts.
import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import type { Logger } from 'pino';
import type { UserNamespace } from '#lib/service/user-namespace.ts';
import { CONFIG_LIMIT_BYTES, goArchitecture, MalformedImage, parseImageConfig, parseJson, parseManifest, type Descriptor } from '../../core/oci.ts';
import { replaceFile } from '../records.ts';
import { unpackLayer } from './unpack.ts';

/** Folders of layers are named by so many digits of their chain id: one mount option must name many of them. */
const LAYER_NAME_LENGTH = 12;

/** One published image, as it is kept on disk. */
export interface ImageRecord {
  /** Digest of the configuration. */
  readonly id: string;
  /** Digest of the manifest, or of what it was made up from when the archive had none. */
  readonly manifest: string;
  readonly sizeBytes: number;
  readonly configured: ReturnType<typeof parseImageConfig>;
  /** Names of the layers' folders, lowest first. */
  readonly layers: readonly string[];
  /** `repository@sha256:...` of every place it was pulled from. */
  readonly repoDigests: readonly string[];
  /** Loaded from an archive: no registry can be asked for it. */
  readonly isLoaded: boolean;
  /** Nobody sees it any more, but containers still run from it. */
  readonly isRemoved?: boolean;
}

/** Where blobs come from: a registry or an archive. */
export interface BlobSource {
  /** The bytes of a blob, unchecked. */
  open(descriptor: Descriptor): Promise<Readable>;
}

export interface ContentOptions {
  /** Folder of the image store. */
  readonly root: string;
  readonly users: UserNamespace;
  readonly log: Logger;
}

const layersFolder = (root: string): string => join(root, 'layers');
const recordsFolder = (root: string): string => join(root, 'published');

interface LayerNote { readonly chainId: string; readonly opaque: readonly string[]; readonly bytes: number; readonly entries: number }
const noteOf = (root: string, name: string): string => join(layersFolder(root), `${name}.json`);
const readLayerNote = (root: string, name: string): LayerNote => JSON.parse(readFileSync(noteOf(root, name), 'utf8')) as LayerNote;

export const sha256 = (bytes: Uint8Array | string): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** All of a stream. Throws MalformedImage beyond the limit. */
export async function readAll(stream: Readable, limitBytes: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if ((size += chunk.length) > limitBytes) throw new MalformedImage(`${what} is larger than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export interface NewImage {
  readonly manifest: Buffer;
  readonly source: BlobSource;
  readonly repoDigests: readonly string[];
  readonly isLoaded: boolean;
}

/** Unpacks what is not there yet and writes the record; throws MalformedImage when a digest does not fit its bytes. */
export async function addImage({ manifest, source, repoDigests, isLoaded }: NewImage, { root, users, log }: ContentOptions): Promise<ImageRecord> {
  const { config, layers } = parseManifest(parseJson(manifest, 'the manifest'));
  const configBytes = await readAll(await source.open(config), CONFIG_LIMIT_BYTES, 'the image configuration');
  if (sha256(configBytes) !== config.digest) throw new MalformedImage(`the image configuration is not what its digest ${config.digest} says`);
  const configured = parseImageConfig(parseJson(configBytes, 'the image configuration'), goArchitecture(process.arch));
  if (configured.diffIds.length !== layers.length) throw new MalformedImage(`the image has ${layers.length} layers, its configuration names ${configured.diffIds.length}`);
  const names: string[] = [];
  let chainId = '';
  for (const [index, layer] of layers.entries()) {
    const diffId = configured.diffIds[index] ?? '';
    chainId = index === 0 ? diffId : sha256(`${chainId} ${diffId}`);
    names.push(await addLayer({ layer, diffId, chainId, below: names }, source, { root, users, log }));
  }
  const path = join(recordsFolder(root), `${config.digest.slice('sha256:'.length)}.json`);
  const before = existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as ImageRecord).repoDigests : [];
  const record: ImageRecord = {
    id: config.digest, manifest: sha256(manifest), configured, layers: names, repoDigests: [...new Set([...before, ...repoDigests])], isLoaded,
    sizeBytes: manifest.length + configBytes.length + layers.reduce((sum, { size }) => sum + size, 0),
  };
  mkdirSync(recordsFolder(root), { recursive: true });
  replaceFile(path, JSON.stringify(record));
  return record;
}

interface NewLayer {
  readonly layer: Descriptor;
  readonly diffId: string;
  /** Digest of this layer and all below: the same archive over other layers may unpack otherwise. */
  readonly chainId: string;
  /** Lowest first. */
  readonly below: readonly string[];
}

async function addLayer({ layer, diffId, chainId, below }: NewLayer, source: BlobSource, { root, users, log }: ContentOptions): Promise<string> {
  const name = chainId.slice('sha256:'.length, 'sha256:'.length + LAYER_NAME_LENGTH);
  const folder = join(layersFolder(root), name);
  if (existsSync(folder)) {
    if (readLayerNote(root, name).chainId !== chainId) throw new Error(`two layers begin with the digest ${name}`);
    return name;
  }
  const unfinished = `${folder}.new`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true, mode: 0o755 });
  const lower = [...below].reverse();
  const opaque = new Map(lower.map((each) => [join(layersFolder(root), each), new Set(readLayerNote(root, each).opaque)]));
  try {
    const [compressed, archive] = [digesting(), digesting()];
    const tar = new PassThrough();
    const blob = await source.open(layer);
    const [first, whole] = await peek(blob);
    const decompress = await decompressor(first);
    const flowing = pipeline([whole, compressed.stream, ...(decompress ? [decompress] : []), archive.stream, tar]);
    const [result] = await Promise.all([
      unpackLayer(tar, { folder: unfinished, below: lower.map((each) => join(layersFolder(root), each)), isOpaque: (path, at) => opaque.get(path)?.has(at) ?? false, users }),
      flowing.catch((error: unknown) => { throw error instanceof Error && 'code' in error && String(error.code).startsWith('Z_') ? new MalformedImage(`layer ${layer.digest} cannot be decompressed: ${error.message}`, { cause: error }) : error; }),
    ]);
    if (layer.digest !== '' && compressed.digest() !== layer.digest) throw new MalformedImage(`layer ${layer.digest} is damaged: its bytes have the digest ${compressed.digest()}`);
    if (archive.digest() !== diffId) throw new MalformedImage(`layer ${layer.digest} is not the archive ${diffId} that the image configuration names`);
    if (result.skipped.length > 0) log.warn({ layer: chainId, skipped: result.skipped.slice(0, 20) }, 'parts of a layer are not allowed on this host');
    log.info({ layer: chainId, bytes: result.sizeBytes, entries: result.entries }, 'unpacked layer');
    writeFileSync(noteOf(root, name), JSON.stringify({ chainId, opaque: result.opaque, bytes: result.sizeBytes, entries: result.entries } satisfies LayerNote));
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    throw error;
  }
  return name;
}

function digesting(): { readonly stream: Transform; digest(): string } {
  const hash = createHash('sha256');
  const stream = new Transform({ transform(chunk: Buffer, _, done) { hash.update(chunk); done(null, chunk); } });
  let text: string | undefined;
  return { stream, digest: () => (text ??= `sha256:${hash.digest('hex')}`) };
}

/** The first bytes of a stream, and the stream from its beginning. */
async function peek(stream: Readable): Promise<[Buffer, Readable]> {
  const chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let first = Buffer.alloc(0);
  while (first.length < 4) {
    const { value, done } = await chunks.next();
    if (done === true) break;
    first = Buffer.concat([first, value]);
  }
  return [first, Readable.from((async function* () {
    yield first;
    for (;;) {
      const { value, done } = await chunks.next();
      if (done === true) return;
      yield value;
    }
  })(), { objectMode: false })];
}

/** By the bytes, which never lie, as containerd does. Undefined for a plain archive. */
async function decompressor(first: Buffer): Promise<NodeJS.ReadWriteStream | undefined> {
  if (first.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b]))) return createGunzip();
  if (!first.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]))) return undefined;
  const { Decompress } = await import('fzstd'); // Node.js 20 has no zstd
  const stream = new Transform({
    transform(chunk: Buffer, _, done) {
      try { zstd.push(chunk); done(); } catch (error) { done(zstdError(error)); }
    },
    flush(done) {
      try { zstd.push(new Uint8Array(0), true); done(); } catch (error) { done(zstdError(error)); }
    },
  });
  const zstd = new Decompress((chunk) => { stream.push(Buffer.from(chunk)); });
  return stream;
}
const zstdError = (error: unknown): MalformedImage => new MalformedImage(`a layer cannot be decompressed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });

export const fileStream = (path: string): Readable => createReadStream(path, { highWaterMark: 256 * 1024 });
