// The images of a node: which were pulled or loaded, and what is in them. Stand-ins come from the built-in catalogue, published
// images from registries and archives (content/, registry/: loaded when first needed).
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { beforeSync, beforeWrite } from '#lib/service/disk-fault.ts';
import type { AuthConfig, Sent } from '#lib/cri/messages.ts';
import type { UserNamespace } from '#lib/service/user-namespace.ts';
import { findInCatalogue, imageNotFoundText, type CatalogueEntry, type CatalogueFile } from '../core/catalogue.ts';
import type { ImageConfig } from '../core/container-plan.ts';
import { formatImageReference, parseImageReference, type ImageReference } from '../core/image-reference.ts';
import { builtInImage, MissingProgram, type BuiltInImage } from './built-in-image.ts';
import type { ContentOptions, ImageRecord } from './content/image-content.ts';
import { replaceFile } from './records.ts';
import type { IsOpaque } from './root-filesystem.ts';

/** Marks an image as a stand-in from the catalogue, so that the kubelet can say so in an event. */
export const STAND_IN_ANNOTATION = 'kubreak.io/stand-in';

/** The layer of this project's own programs. */
const OWN_LAYER = 'cluster';

export interface StoredImage {
  /** `sha256:...`: of a published image its configuration's digest, of a stand-in over what it consists of. */
  readonly id: string;
  /** From the catalogue: its root is over the node's own programs. */
  readonly isBuiltIn: boolean;
  /** It stands for an image that others publish; this project's own programs stand for nothing. */
  readonly isStandIn: boolean;
  /** Normalised references: docker.io/library/nginx:latest. */
  readonly tags: readonly string[];
  /** docker.io/library/nginx@sha256:... */
  readonly repoDigests: readonly string[];
  readonly sizeBytes: number;
  readonly config: ImageConfig;
  /** Folders of this image's own layers, topmost first. */
  readonly layers: readonly string[];
  /** Folders that the image wants to be writable whatever its root is. */
  readonly volumes: readonly string[];
  readonly files: readonly CatalogueFile[];
  readonly usesBundles: boolean;
  /** Came from an archive: no registry need have it. */
  readonly isLoaded: boolean;
}

export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly reason: 'not-found' | 'invalid' | 'failed';

  constructor(reason: 'not-found' | 'invalid' | 'failed', message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

export interface ImageStoreOptions {
  readonly root: string;
  /** Of the runtime: its disk may be full. */
  readonly dataFolder?: string;
  /** The folder with catalogue.json and layers/. */
  readonly catalogue: string;
  /** The folder HOST/hosts.toml is in: which registries there are. */
  readonly registries: string;
  readonly users: UserNamespace;
  readonly log: Logger;
}

interface LayerNote { readonly opaque: readonly string[]; readonly bytes: number; readonly entries: number }

export class ImageStore {
  readonly root: string;
  readonly #options: ImageStoreOptions;
  readonly #entries: readonly CatalogueEntry[];
  readonly #file: string;
  /** By normalised reference; the value is the image's id. */
  readonly #tags: Map<string, string>;
  readonly #images = new Map<string, StoredImage>();
  /** Removed, but containers still run from them. */
  readonly #removed = new Map<string, StoredImage>();
  readonly #notes = new Map<string, { readonly opaque: ReadonlySet<string>; readonly note: LayerNote }>();
  #work: Promise<unknown> = Promise.resolve();

  /** Throws when the catalogue cannot be read. */
  constructor(options: ImageStoreOptions) {
    const { root, catalogue } = options;
    this.root = root;
    this.#options = options;
    try {
      this.#entries = (JSON.parse(readFileSync(join(catalogue, 'catalogue.json'), 'utf8')) as { images: CatalogueEntry[] }).images;
    } catch (error) {
      throw new Error(`cannot read the catalogue of built-in images in ${catalogue}`, { cause: error });
    }
    mkdirSync(root, { recursive: true });
    this.#file = join(root, 'images.json');
    this.#tags = new Map(existsSync(this.#file) ? Object.entries(JSON.parse(readFileSync(this.#file, 'utf8')) as Record<string, string>) : []);
    for (const record of this.#records()) (record.isRemoved ? this.#removed : this.#images).set(record.id, this.#published(record));
    for (const [tag, id] of [...this.#tags]) {
      if (this.#images.get(id)?.isBuiltIn === false) continue;
      // What the catalogue no longer has is forgotten: it would have to be pulled again.
      try { this.#pullStandIn(tag); } catch { this.#tags.delete(tag); }
    }
  }

  list(): StoredImage[] {
    return [...this.#images.values()];
  }

  /** By id or by any reference to it; undefined when it is not there. */
  find(name: string): StoredImage | undefined {
    const byId = this.#images.get(name) ?? (/^[0-9a-f]{12,64}$/.test(name) ? this.list().find(({ id }) => id.startsWith(`sha256:${name}`)) : undefined);
    if (byId) return byId;
    const reference = parseImageReference(name);
    if (!reference) return undefined;
    const text = formatImageReference(reference);
    if (reference.digest !== '') return this.#images.get(reference.digest) ?? this.list().find(({ repoDigests }) => repoDigests.includes(text));
    const id = this.#tags.get(text);
    // The cluster's own images come with its installation, as kubeadm pulls them before it starts anything.
    if (id === undefined) return findInCatalogue(this.#entries, reference)?.entry.bundles === true ? this.#pullStandIn(text) : undefined;
    return this.#images.get(id);
  }

  /** What a container was made from, though it was removed since. */
  ofContainer(id: string): StoredImage | undefined {
    return this.#images.get(id) ?? this.#removed.get(id);
  }

  /**
   * A registry is asked when one is configured for the name's host, or when the catalogue does not know the name; then the
   * store (for what was loaded from an archive) and the catalogue, in this order. Without a configured registry the names of
   * the catalogue are its own: nobody waits for a network that is not there. Throws ImageError.
   */
  async pull(name: string, auth?: Sent<AuthConfig>): Promise<StoredImage> {
    const reference = parseImageReference(name);
    if (!reference) throw new ImageError('invalid', `failed to parse image reference "${name}": invalid reference format`);
    const text = formatImageReference(reference);
    await this.#takeRoom(text);
    const host = reference.repository.split('/')[0] ?? '';
    const isInCatalogue = reference.digest === '' && this.#entries.some(({ repositories }) => repositories.includes(reference.repository));
    const isConfigured = [host, '_default'].some((folder) => existsSync(join(this.#options.registries, folder)));
    const here = this.#images.get(this.#tags.get(text) ?? '');
    if (isInCatalogue && !isConfigured) return here?.isBuiltIn === false ? here : this.#pullStandIn(name);
    return this.#oneAtATime(async () => {
      const { pullFromRegistry, RegistryUnreachable } = await import('./registry/pull.ts');
      try {
        return this.#keep(await pullFromRegistry(reference, auth, { ...this.#content(), registries: this.#options.registries }), reference.digest === '' ? [text] : []);
      } catch (error) {
        if (error instanceof RegistryUnreachable) {
          this.#options.log.info({ image: text, err: error }, 'no registry answers');
          if (here?.isLoaded) return here;
          if (isInCatalogue) return this.#pullStandIn(name);
        }
        throw asImageError(error, `failed to pull and unpack image "${text}": `);
      }
    });
  }

  /** A stand-in takes hardly any, but what it stands for would. */
  async #takeRoom(text: string): Promise<void> {
    const { root, dataFolder = root } = this.#options;
    try {
      beforeWrite(dataFolder, `write '${root}'`);
      await beforeSync(dataFolder);
    } catch (error) {
      throw asImageError(error, `failed to pull and unpack image "${text}": failed to copy: `);
    }
  }

  /** The images of an archive; `name` is for one that names none. Throws ImageError. */
  load(path: string, name: string): Promise<StoredImage[]> {
    return this.#oneAtATime(async () => {
      const { loadArchive } = await import('./content/archive.ts');
      try {
        return (await loadArchive(path, name, this.#content())).map(({ record, names }) => this.#keep(record, names));
      } catch (error) {
        throw asImageError(error, '');
      }
    });
  }

  /** Forgets the image with all its names; its layers go when none of `inUse` (ids of images) needs them. */
  remove(name: string, inUse: ReadonlySet<string>): Promise<void> {
    return this.#oneAtATime(() => {
      const image = this.find(name);
      if (!image) return;
      for (const tag of image.tags) this.#tags.delete(tag);
      this.#images.delete(image.id);
      this.#removed.set(image.id, { ...image, tags: [] });
      if (!image.isBuiltIn) this.#noteRemoval(image.id);
      this.#save();
      this.#sweep(inUse);
    });
  }

  /** Frees what removed images have left, and what was unfinished when the runtime ended. */
  sweep(inUse: ReadonlySet<string>): Promise<void> {
    return this.#oneAtATime(() => this.#sweep(inUse));
  }

  /** Bytes and files of all unpacked layers. */
  usage(): { usedBytes: number; inodesUsed: number } {
    const notes = [...new Set([...this.#images.values(), ...this.#removed.values()].filter(({ isBuiltIn }) => !isBuiltIn).flatMap(({ layers }) => layers))].map((layer) => this.#note(layer).note);
    return { usedBytes: notes.reduce((sum, { bytes }) => sum + bytes, 0), inodesUsed: notes.reduce((sum, { entries }) => sum + entries, 0) };
  }

  readonly isOpaque: IsOpaque = (layer, path) => layer.startsWith(this.#layersFolder) && this.#note(layer).opaque.has(path);

  // ---- published images

  get #layersFolder(): string {
    return join(this.root, 'layers');
  }

  get #publishedFolder(): string {
    return join(this.root, 'published');
  }

  #content(): ContentOptions {
    return { root: this.root, users: this.#options.users, log: this.#options.log };
  }

  #records(): ImageRecord[] {
    if (!existsSync(this.#publishedFolder)) return [];
    return readdirSync(this.#publishedFolder).filter((file) => file.endsWith('.json')).map((file) => JSON.parse(readFileSync(join(this.#publishedFolder, file), 'utf8')) as ImageRecord);
  }

  #noteRemoval(removed: string): void {
    for (const record of this.#records()) if (record.id === removed) replaceFile(this.#recordFile(removed), JSON.stringify({ ...record, isRemoved: true } satisfies ImageRecord));
  }

  #recordFile(id: string): string {
    return join(this.#publishedFolder, `${id.slice('sha256:'.length)}.json`);
  }

  #published({ id, sizeBytes, configured, layers, repoDigests, isLoaded }: ImageRecord): StoredImage {
    return {
      id, isBuiltIn: false, isStandIn: false, tags: [...this.#tags].filter(([, tagged]) => tagged === id).map(([tag]) => tag), repoDigests, sizeBytes, config: configured.config,
      layers: [...layers].reverse().map((layer) => join(this.#layersFolder, layer)), volumes: configured.volumes, files: [], usesBundles: false, isLoaded,
    };
  }

  #keep(record: ImageRecord, tags: readonly string[]): StoredImage {
    this.#removed.delete(record.id);
    for (const tag of tags) this.#moveTag(tag, record.id);
    const image = this.#published(record);
    this.#images.set(record.id, image);
    this.#save();
    return image;
  }

  #note(layer: string): { readonly opaque: ReadonlySet<string>; readonly note: LayerNote } {
    const known = this.#notes.get(layer);
    if (known) return known;
    const note = JSON.parse(readFileSync(`${layer}.json`, 'utf8')) as LayerNote;
    const read = { opaque: new Set(note.opaque), note };
    this.#notes.set(layer, read);
    return read;
  }

  #sweep(inUse: ReadonlySet<string>): void {
    for (const id of this.#removed.keys()) if (!inUse.has(id)) this.#removed.delete(id);
    if (!existsSync(this.#publishedFolder)) return;
    for (const { id } of this.#records()) {
      if (!this.#images.has(id) && !this.#removed.has(id)) rmSync(this.#recordFile(id));
    }
    const used = new Set([...this.#images.values(), ...this.#removed.values()].flatMap(({ layers }) => layers));
    for (const entry of existsSync(this.#layersFolder) ? readdirSync(this.#layersFolder) : []) {
      const layer = join(this.#layersFolder, entry.replace(/\.json$/, ''));
      if (used.has(layer)) continue;
      this.#notes.delete(layer);
      rmSync(join(this.#layersFolder, entry), { recursive: true, force: true });
    }
    for (const entry of readdirSync(this.root)) if (/^(?:load|pull)-/.test(entry)) rmSync(join(this.root, entry), { recursive: true, force: true });
  }

  // ---- stand-ins

  #pullStandIn(name: string): StoredImage {
    const reference = parseImageReference(name) as ImageReference;
    const found = findInCatalogue(this.#entries, reference);
    const text = formatImageReference(reference);
    if (!found) throw new ImageError('not-found', imageNotFoundText(text));
    const { entry, version } = found;
    let definition: BuiltInImage;
    try {
      definition = builtInImage(found, this.#options.catalogue);
    } catch (error) {
      throw error instanceof MissingProgram ? new ImageError('not-found', error.message, { cause: error }) : error;
    }
    const id = `sha256:${createHash('sha256').update(JSON.stringify([entry.repositories, version, definition])).digest('hex')}`;
    this.#moveTag(text, id);
    const tags = [...new Set([...(this.#images.get(id)?.tags ?? []), text])];
    const image = { ...definition, id, tags, repoDigests: [], volumes: [], isBuiltIn: true, isStandIn: !entry.layers.includes(OWN_LAYER), isLoaded: false, sizeBytes: JSON.stringify(definition).length };
    this.#removed.delete(id);
    this.#images.set(id, image);
    this.#save();
    return image;
  }

  // ---- names

  /** A name leads to one image: the one that had it keeps its other names, or none. */
  #moveTag(tag: string, id: string): void {
    const before = this.#images.get(this.#tags.get(tag) ?? '');
    this.#tags.set(tag, id);
    if (!before || before.id === id) return;
    const tags = before.tags.filter((other) => other !== tag);
    this.#images.delete(before.id);
    if (tags.length > 0 || !before.isBuiltIn) this.#images.set(before.id, { ...before, tags });
    else this.#removed.set(before.id, { ...before, tags });
  }

  #oneAtATime<T>(work: () => T | Promise<T>): Promise<T> {
    const result = this.#work.then(work);
    this.#work = result.catch(() => undefined); // who asked hears of it
    return result;
  }

  #save(): void {
    replaceFile(this.#file, JSON.stringify(Object.fromEntries(this.#tags)));
  }
}

function asImageError(error: unknown, prefix: string): ImageError {
  if (error instanceof ImageError) return new ImageError(error.reason, prefix + error.message, { cause: error });
  return new ImageError('failed', prefix + (error instanceof Error ? error.message : String(error)), { cause: error });
}
