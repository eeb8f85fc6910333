// The layers of a container's root on disk: where its writable parts are, and how a path inside it is found without entering.
import { lstatSync, mkdirSync, readlinkSync, readFileSync, symlinkSync, writeFileSync, type Stats } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Overlay } from '../core/container-plan.ts';

/** Symbolic links followed in one path. Source: Linux, MAXSYMLINKS. */
const LINK_LIMIT = 40;

/** Whether a folder of a layer hides what the layers below it have in that folder. Node.js cannot read the mark itself. */
export type IsOpaque = (layer: string, path: string) => boolean;

export class RootFilesystem {
  readonly overlays: readonly Overlay[];
  readonly #isOpaque: IsOpaque;

  constructor(overlays: readonly Overlay[], isOpaque: IsOpaque = () => false) {
    this.overlays = overlays;
    this.#isOpaque = isOpaque;
  }

  /**
   * A stand-in's root: the image's layers over the base layer, and over the node's /usr. The node's /usr/local does not show.
   * `folder` holds the writable parts; `layers` are topmost first.
   */
  static overHostPrograms({ folder, layers, base }: { folder: string; layers: readonly string[]; base: string }): RootFilesystem {
    const having = (below: string): string[] => layers.map((layer) => join(layer, below)).filter((path) => lstatSync(path, { throwIfNoEntry: false })?.isDirectory());
    const overlay = (at: string, name: string, lower: readonly string[]): Overlay => ({ at, lower, upper: join(folder, name, 'upper'), work: join(folder, name, 'work') });
    return new RootFilesystem([
      overlay('', 'root', [...layers, base]),
      overlay('usr', 'usr', [...having('usr'), '/usr']),
      overlay('usr/local', 'usr-local', [...having('usr/local'), join(base, 'usr/local')]),
    ]);
  }

  /** A published image's root: its layers, topmost first, over `bare`, which has the mount points that every root needs. */
  static ofLayers({ folder, layers, bare, isOpaque }: { folder: string; layers: readonly string[]; bare: string; isOpaque: IsOpaque }): RootFilesystem {
    return new RootFilesystem([{ at: '', lower: [...layers, bare], upper: join(folder, 'root/upper'), work: join(folder, 'root/work') }], isOpaque);
  }

  /** Makes the writable folders. */
  prepare(): void {
    for (const { upper, work } of this.overlays) {
      mkdirSync(upper, { recursive: true, mode: 0o755 });
      mkdirSync(work, { recursive: true });
    }
  }

  /** Makes `path` (with what is above it) a folder or an empty file where it is missing; returns it without symbolic links. */
  ensure(path: string, type: 'folder' | 'file'): string {
    const resolved = this.resolve(path);
    if (this.find(resolved)) return resolved;
    this.#makeFolders(type === 'folder' ? resolved : dirname(resolved));
    if (type === 'file') writeFileSync(this.#upperPath(resolved), '', { mode: 0o644 });
    return resolved;
  }

  /** Makes `path` a folder in the writable layer, links followed; returns where it is on disk. */
  makeWritable(path: string): string {
    const resolved = this.resolve(path);
    if (resolved === '/') return this.#upperPath('');
    this.#makeFolders(resolved);
    return this.#upperPath(resolved);
  }

  write(path: string, text: string): void {
    const resolved = this.resolve(path);
    this.#makeFolders(dirname(resolved));
    writeFileSync(this.#upperPath(resolved), text);
  }

  /** A symbolic link; what is there already stays. */
  link(path: string, target: string): void {
    const at = `${this.resolve(dirname(path))}/${basename(path)}`;
    if (this.find(at)) return;
    this.#makeFolders(dirname(at));
    symlinkSync(target, this.#upperPath(at));
  }

  /** Empty when there is no such file. */
  read(path: string): string {
    const found = this.find(this.resolve(path));
    return found?.stats.isFile() ? readFileSync(found.path, 'utf8') : '';
  }

  /** The path with every symbolic link followed inside the root; parts that do not exist stay as they are. */
  resolve(path: string): string {
    let rest = path.split('/').filter((part) => part !== '' && part !== '.');
    let resolved = '';
    let links = 0;
    while (rest.length > 0) {
      const [part = '', ...more] = rest;
      rest = more;
      if (part === '..') {
        resolved = resolved === '' ? '' : dirname(resolved) === '/' ? '' : dirname(resolved);
        continue;
      }
      const found = this.find(`${resolved}/${part}`);
      if (!found?.stats.isSymbolicLink()) {
        resolved = `${resolved}/${part}`;
        continue;
      }
      if ((links += 1) > LINK_LIMIT) throw new Error(`too many symbolic links in ${path}`);
      const target = readlinkSync(found.path);
      if (target.startsWith('/')) resolved = '';
      rest = [...target.split('/').filter((name) => name !== '' && name !== '.'), ...rest];
    }
    return resolved === '' ? '/' : resolved;
  }

  #overlayOf(path: string): { overlay: Overlay; below: string } {
    const overlay = this.overlays.filter(({ at }) => at === '' || path === `/${at}` || path.startsWith(`/${at}/`)).sort((a, b) => b.at.length - a.at.length)[0];
    if (!overlay) throw new Error('a root file system has no layer for /');
    return { overlay, below: overlay.at === '' ? path : path.slice(overlay.at.length + 1) };
  }

  /**
   * The topmost entry at a path that contains no links. On the way down a whiteout (character device 0/0) or a file hides
   * what lower layers have there, as does a folder that is marked as opaque.
   */
  find(path: string): { path: string; stats: Stats } | undefined {
    const { overlay, below } = this.#overlayOf(path);
    const parts = below.split('/').filter((part) => part !== '');
    let layers = [overlay.upper, ...overlay.lower];
    let at = '';
    for (const [index, part] of parts.entries()) {
      at = `${at}/${part}`;
      const having: string[] = [];
      for (const layer of layers) {
        const stats = lstatSync(layer + at, { throwIfNoEntry: false });
        if (!stats) continue;
        if (stats.isCharacterDevice() && stats.rdev === 0) break;
        if (index === parts.length - 1) return { path: layer + at, stats };
        if (!stats.isDirectory()) break;
        having.push(layer);
        if (this.#isOpaque(layer, at)) break;
      }
      if (having.length === 0) return undefined;
      layers = having;
    }
    for (const layer of layers) {
      const stats = lstatSync(layer, { throwIfNoEntry: false });
      if (stats) return { path: layer, stats };
    }
    return undefined;
  }

  #upperPath(path: string): string {
    const { overlay, below } = this.#overlayOf(path);
    return overlay.upper + below;
  }

  #makeFolders(path: string): void {
    const parts = path.split('/').filter((part) => part !== '');
    for (let count = 1; count <= parts.length; count += 1) {
      const at = `/${parts.slice(0, count).join('/')}`;
      const found = this.find(at);
      if (found && !found.stats.isDirectory()) throw new Error(`not a directory: ${at} in the container's root`);
      const upper = this.#upperPath(at);
      if (lstatSync(upper, { throwIfNoEntry: false })) continue;
      // A folder in the upper layer takes the place of the lower one's mode too.
      mkdirSync(upper, { recursive: true, mode: found ? found.stats.mode & 0o7777 : 0o755 });
    }
  }
}
