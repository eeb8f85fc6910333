// Tar archives and images for tests.
import { createHash } from 'node:crypto';
import { pack, type Header } from 'tar-stream';
import { goArchitecture } from '../../core/oci.ts';

export type Member = Partial<Header> & { readonly name: string; readonly text?: string | Buffer };

export async function tarOf(...members: Member[]): Promise<Buffer> {
  const archive = pack();
  for (const { text = '', ...header } of members) archive.entry({ mode: header.type === 'directory' ? 0o755 : 0o644, mtime: new Date(1_000_000), ...header }, text);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export const digestOf = (bytes: Buffer | string): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface TestImage {
  readonly manifest: Buffer;
  readonly config: Buffer;
  /** Digest to bytes: manifest, config and layers. */
  readonly blobs: ReadonlyMap<string, Buffer>;
}

/** An image of layers (lowest first) as they travel, with the archives that they are made of. */
export function imageOf(layers: readonly { readonly tar: Buffer; readonly blob: Buffer; readonly mediaType: string }[], config: object): TestImage {
  const configBytes = Buffer.from(JSON.stringify({ architecture: goArchitecture(process.arch), os: 'linux', config, rootfs: { type: 'layers', diff_ids: layers.map(({ tar }) => digestOf(tar)) } }));
  const manifest = Buffer.from(JSON.stringify({
    schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: digestOf(configBytes), size: configBytes.length },
    layers: layers.map(({ blob, mediaType }) => ({ mediaType, digest: digestOf(blob), size: blob.length })),
  }));
  return { manifest, config: configBytes, blobs: new Map([manifest, configBytes, ...layers.map(({ blob }) => blob)].map((blob) => [digestOf(blob), blob])) };
}

/** A zstd frame of one block that is not compressed: valid, and needs no compressor. Up to 128 KiB. */
export function zstdOf(content: Buffer): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt32LE(0xfd2fb528, 0);
  header.writeUInt8(0xa0, 4); // single segment, content size in four bytes
  header.writeUInt32LE(content.length, 5);
  header.writeUIntLE((content.length << 3) | 1, 9, 3); // the last block, raw
  return Buffer.concat([header, content]);
}

const blobPath = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

/** An OCI image layout in a tar archive, as buildx and skopeo write it. */
export function layoutOf({ manifest, blobs }: TestImage, annotations: Readonly<Record<string, string>>): Promise<Buffer> {
  const index = { schemaVersion: 2, manifests: [{ mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf(manifest), size: manifest.length, annotations }] };
  return tarOf({ name: 'oci-layout', text: '{"imageLayoutVersion":"1.0.0"}' }, ...[...blobs].map(([digest, text]) => ({ name: blobPath(digest), text })), { name: 'index.json', text: JSON.stringify(index) });
}

/** What docker save wrote until Docker 25: layers as they are, beside a list. */
export function dockerSaveOf(config: Buffer, layers: readonly Buffer[], tags: readonly string[]): Promise<Buffer> {
  const name = `${digestOf(config).slice('sha256:'.length)}.json`;
  return tarOf(...layers.map((text, index) => ({ name: `${index}/layer.tar`, text })), { name, text: config },
    { name: 'manifest.json', text: JSON.stringify([{ Config: name, RepoTags: tags, Layers: layers.map((_, index) => `${index}/layer.tar`) }]) });
}
