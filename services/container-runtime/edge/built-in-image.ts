// An image of the catalogue, with its version filled in: what it runs, and what lies over the node's own programs.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { missingProgramText, type CatalogueFile, type CatalogueImage } from '../core/catalogue.ts';
import type { ImageConfig } from '../core/container-plan.ts';

export interface BuiltInImage {
  readonly config: ImageConfig;
  /** Folders, topmost first. */
  readonly layers: readonly string[];
  readonly files: readonly CatalogueFile[];
  readonly usesBundles: boolean;
}

export class MissingProgram extends Error {
  override readonly name = 'MissingProgram';
}

/** `catalogue`: the folder with layers/. Throws MissingProgram where the node lacks what the image runs. */
export function builtInImage({ entry, reference, version }: CatalogueImage, catalogue: string): BuiltInImage {
  const missing = (entry.needs ?? []).find((path) => !nodeHas(path));
  if (missing !== undefined) throw new MissingProgram(missingProgramText(reference, missing, entry.packages ?? []));
  const fill = (value: string): string => value.replaceAll('{version}', version);
  return {
    config: {
      entrypoint: entry.entrypoint ?? [], command: entry.command ?? [], environment: (entry.environment ?? []).map(fill),
      workingDirectory: entry.workingDirectory ?? '', user: entry.user ?? '', stopSignal: entry.stopSignal ?? '',
    },
    layers: entry.layers.map((layer) => join(catalogue, 'layers', layer)).filter((path) => existsSync(path)),
    files: (entry.files ?? []).map((file) => (file.text === undefined ? file : { ...file, text: fill(file.text) })),
    usesBundles: entry.bundles ?? false,
  };
}

/** A path may have one `*`, which stands for any one name. */
function nodeHas(path: string): boolean {
  const [folder = '', below = ''] = path.split('/*');
  if (!path.includes('/*')) return existsSync(path);
  return existsSync(folder) && readdirSync(folder).some((name) => existsSync(join(folder, name, below)));
}
