// Built-in images as published ones are: manifest, configuration and layers, made when they are first asked for.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { findInCatalogue, type CatalogueEntry } from '../../core/catalogue.ts';
import { goArchitecture } from '../../core/oci.ts';
import { builtInImage } from '../built-in-image.ts';
import type { Layer, LayerStore } from './layer-store.ts';

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar';
const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export class PublishedImages {
  readonly #catalogue: string;
  readonly #entries: readonly CatalogueEntry[];
  readonly #layers: LayerStore;
  /** Manifests and configurations, by digest: all that were asked for since the start. */
  readonly #documents = new Map<string, Buffer>();

  /** Throws when the catalogue cannot be read. */
  constructor(catalogue: string, layers: LayerStore) {
    this.#catalogue = catalogue;
    this.#entries = (JSON.parse(readFileSync(join(catalogue, 'catalogue.json'), 'utf8')) as { images: CatalogueEntry[] }).images;
    this.#layers = layers;
  }

  /** Undefined when no image has the name. Throws MissingProgram where the node lacks what it runs. */
  async manifest(repository: string, tag: string): Promise<Buffer | undefined> {
    const found = findInCatalogue(this.#entries, { repository, tag, digest: '' });
    if (!found) return undefined;
    const { config, layers, files, usesBundles } = builtInImage(found, this.#catalogue);
    const present = files.filter(({ ifNodeHas }) => ifNodeHas === undefined || existsSync(ifNodeHas));
    const stack = [
      await this.#layers.nodePrograms(),
      ...(usesBundles ? [await this.#layers.bundles()] : []),
      ...(await Promise.all([...layers].reverse().map((folder) => this.#layers.folder(folder)))),
      ...(present.length > 0 ? [await this.#layers.files(present)] : []),
    ];
    const { entrypoint, command, environment, workingDirectory, user, stopSignal } = config;
    const configuration = Buffer.from(JSON.stringify({
      architecture: goArchitecture(process.arch), os: 'linux',
      config: {
        Env: environment.some((line) => line.startsWith('PATH=')) ? environment : [DEFAULT_PATH, ...environment],
        ...(entrypoint.length > 0 ? { Entrypoint: entrypoint } : {}), ...(command.length > 0 ? { Cmd: command } : {}),
        ...(workingDirectory === '' ? {} : { WorkingDir: workingDirectory }), ...(user === '' ? {} : { User: user }), ...(stopSignal === '' ? {} : { StopSignal: stopSignal }),
      },
      rootfs: { type: 'layers', diff_ids: stack.map(({ digest }) => digest) },
    }));
    const manifest = Buffer.from(JSON.stringify({
      schemaVersion: 2, mediaType: MANIFEST_TYPE,
      config: { mediaType: CONFIG_TYPE, digest: this.#keep(configuration), size: configuration.length },
      layers: stack.map(({ digest, sizeBytes }: Layer) => ({ mediaType: LAYER_TYPE, digest, size: sizeBytes })),
    }));
    this.#keep(manifest);
    return manifest;
  }

  document(digest: string): Buffer | undefined {
    return this.#documents.get(digest);
  }

  #keep(document: Buffer): string {
    const digest = digestOf(document);
    this.#documents.set(digest, document);
    return digest;
  }
}

export const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
