// The image store of a node: which images were pulled, and what is in them. For now all come from the built-in catalogue.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { findInCatalogue, imageNotFoundText, missingProgramText, type CatalogueEntry, type CatalogueFile } from '../core/catalogue.ts';
import type { ImageConfig } from '../core/container-plan.ts';
import { formatImageReference, parseImageReference } from '../core/image-reference.ts';
import { replaceFile } from './records.ts';

/** Marks an image as a stand-in from the catalogue, so that the kubelet can say so in an event. */
export const STAND_IN_ANNOTATION = 'kubreak.io/stand-in';

export interface StoredImage {
  /** `sha256:...` over what the image consists of. */
  readonly id: string;
  /** Normalised references: docker.io/library/nginx:latest. */
  readonly tags: readonly string[];
  readonly sizeBytes: number;
  readonly config: ImageConfig;
  /** Folders of this image's own layers, topmost first. */
  readonly layers: readonly string[];
  readonly files: readonly CatalogueFile[];
  readonly usesBundles: boolean;
}

export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly reason: 'not-found' | 'invalid';

  constructor(reason: 'not-found' | 'invalid', message: string) {
    super(message);
    this.reason = reason;
  }
}

export class ImageStore {
  readonly #entries: readonly CatalogueEntry[];
  readonly #layersFolder: string;
  readonly #file: string;
  /** By normalised reference; the value is the image's id. */
  readonly #pulled: Map<string, string>;
  readonly #images = new Map<string, StoredImage>();
  readonly root: string;

  /** `catalogue` is the folder with catalogue.json and layers/. Throws when it cannot be read. */
  constructor({ root, catalogue }: { root: string; catalogue: string }) {
    this.root = root;
    this.#layersFolder = join(catalogue, 'layers');
    try {
      this.#entries = (JSON.parse(readFileSync(join(catalogue, 'catalogue.json'), 'utf8')) as { images: CatalogueEntry[] }).images;
    } catch (error) {
      throw new Error(`cannot read the catalogue of built-in images in ${catalogue}`, { cause: error });
    }
    mkdirSync(root, { recursive: true });
    this.#file = join(root, 'images.json');
    this.#pulled = new Map(existsSync(this.#file) ? Object.entries(JSON.parse(readFileSync(this.#file, 'utf8')) as Record<string, string>) : []);
    for (const reference of this.#pulled.keys()) {
      // What the catalogue no longer has is forgotten: it would have to be pulled again.
      try { this.pull(reference); } catch { this.#pulled.delete(reference); }
    }
  }

  list(): StoredImage[] {
    return [...this.#images.values()];
  }

  /** By id or by any reference to it; undefined when it was not pulled. */
  find(name: string): StoredImage | undefined {
    const byId = this.#images.get(name) ?? (/^[0-9a-f]{12,64}$/.test(name) ? this.list().find(({ id }) => id.startsWith(`sha256:${name}`)) : undefined);
    if (byId) return byId;
    const reference = parseImageReference(name);
    if (!reference) return undefined;
    if (reference.digest !== '') return this.#images.get(reference.digest);
    const text = formatImageReference(reference);
    const id = this.#pulled.get(text);
    // The cluster's own images come with its installation, as kubeadm pulls them before it starts anything.
    if (id === undefined) return findInCatalogue(this.#entries, reference)?.entry.bundles === true ? this.pull(text) : undefined;
    return this.#images.get(id);
  }

  /** Throws ImageError when there is no such image. */
  pull(name: string): StoredImage {
    const reference = parseImageReference(name);
    if (!reference) throw new ImageError('invalid', `failed to parse image reference "${name}": invalid reference format`);
    const found = findInCatalogue(this.#entries, reference);
    const text = formatImageReference(reference);
    if (!found) throw new ImageError('not-found', imageNotFoundText(text));
    const { entry, version } = found;
    const missing = (entry.needs ?? []).find((path) => !nodeHas(path));
    if (missing) throw new ImageError('not-found', missingProgramText(text, missing, entry.packages ?? []));
    const fill = (value: string): string => value.replaceAll('{version}', version);
    const definition = {
      config: {
        entrypoint: entry.entrypoint ?? [], command: entry.command ?? [], environment: (entry.environment ?? []).map(fill),
        workingDirectory: entry.workingDirectory ?? '', user: entry.user ?? '', stopSignal: entry.stopSignal ?? '',
      },
      layers: entry.layers.map((layer) => join(this.#layersFolder, layer)).filter((path) => existsSync(path)),
      files: (entry.files ?? []).map((file) => (file.text === undefined ? file : { ...file, text: fill(file.text) })),
      usesBundles: entry.bundles ?? false,
    };
    const id = `sha256:${createHash('sha256').update(JSON.stringify([entry.repositories, version, definition])).digest('hex')}`;
    const tags = [...new Set([...(this.#images.get(id)?.tags ?? []), text])];
    const image = { ...definition, id, tags, sizeBytes: JSON.stringify(definition).length };
    this.#images.set(id, image);
    this.#pulled.set(text, id);
    this.#save();
    return image;
  }

  /** Forgets the image, or the one reference when it has several; nothing happens when it is not there. */
  remove(name: string): void {
    const image = this.find(name);
    if (!image) return;
    for (const tag of image.tags) this.#pulled.delete(tag);
    this.#images.delete(image.id);
    this.#save();
  }

  /** Bytes and files in use on the file system of the store. */
  usage(): { usedBytes: number; inodesUsed: number } {
    const { blocks, bfree, bsize, files, ffree } = statfsSync(this.root);
    return { usedBytes: (blocks - bfree) * bsize, inodesUsed: files - ffree };
  }

  #save(): void {
    replaceFile(this.#file, JSON.stringify(Object.fromEntries(this.#pulled)));
  }
}

/** `*` in a path stands for any one name. */
function nodeHas(path: string): boolean {
  const [folder = '', below = ''] = path.split('/*');
  if (!path.includes('/*')) return existsSync(path);
  return existsSync(folder) && readdirSync(folder).some((name) => existsSync(join(folder, name, below)));
}
