// The built-in images' layers as archives on disk, each made once: what lies over the node's programs, the cluster's own bundles,
// and the node's programs themselves, which all images share.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createWriteStream, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Transform, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import { pack } from 'tar-stream';
import { readUserNamespace } from '#lib/service/user-namespace.ts';
import type { CatalogueFile } from '../../core/catalogue.ts';
import { prepareBaseLayer } from '../base-layer.ts';
import { replaceFile } from '../records.ts';

/** Raise when layers are made differently: those on disk are made anew. */
const LAYOUT = 1;
/** Of the node's /usr: what its containers have no use for. /usr/local is not the node's in them. */
const LEFT_OUT = [
  'usr/local', 'usr/include', 'usr/src', 'usr/share/doc', 'usr/share/info', 'usr/share/locale', 'usr/share/man',
  ...['containerd', 'containerd-shim', 'containerd-shim-runc-v1', 'containerd-shim-runc-v2', 'containerd-stress', 'ctr'].map((name) => `usr/bin/${name}`), 'usr/sbin/runc', 'usr/bin/runc',
];
/** What bundles load from node_modules, as scripts/build.ts leaves it to them; all else is in the bundles. */
const NATIVE_PACKAGES = ['classic-level', '@lydell/node-pty'];

export interface Layer {
  readonly digest: string;
  readonly sizeBytes: number;
}

export interface LayerStoreOptions {
  readonly root: string;
  /** The folder with dist and node_modules. */
  readonly bundleFolder: string;
  /** The folder with usr, the node's programs. */
  readonly nodeRoot?: string;
  readonly log: Logger;
}

export class LayerStore {
  readonly #options: LayerStoreOptions;
  readonly #file: string;
  /** What a layer is made of => the layer. */
  readonly #layers: Map<string, Layer>;
  readonly #beingMade = new Map<string, Promise<Layer>>();

  constructor(options: LayerStoreOptions) {
    this.#options = options;
    mkdirSync(join(options.root, 'blobs'), { recursive: true });
    this.#file = join(options.root, 'layers.json');
    this.#layers = new Map(existsSync(this.#file) ? Object.entries(JSON.parse(readFileSync(this.#file, 'utf8')) as Record<string, Layer>) : []);
    for (const name of readdirSync(join(options.root, 'blobs'))) if (name.includes('.')) rmSync(join(options.root, 'blobs', name));
  }

  /** Undefined when there is no such layer. */
  path(digest: string): string | undefined {
    const path = join(this.#options.root, 'blobs', digest.replace('sha256:', ''));
    return /^sha256:[0-9a-f]{64}$/.test(digest) && existsSync(path) ? path : undefined;
  }

  /** The lowest of every image: an empty root, and the node's /usr. */
  async nodePrograms(): Promise<Layer> {
    const { root, nodeRoot = '/' } = this.#options;
    const { path } = await prepareBaseLayer(root, readUserNamespace());
    // Devices come from the runtime.
    return this.#once(['node', basename(path)], () => tar(['--anchored', '--exclude=./dev/*', ...LEFT_OUT.map((name) => `--exclude=${name}`), '-C', path, '.', '-C', nodeRoot, 'usr']));
  }

  /** The cluster's own programs at /opt/kubreak, and Node.js where it is not among the node's in /usr. */
  bundles(): Promise<Layer> {
    const { bundleFolder } = this.#options;
    const signs = [readdirSync(join(bundleFolder, 'dist/programs')).sort(), process.version];
    const parts = ['dist', ...packagesBelow(join(bundleFolder, 'node_modules'), NATIVE_PACKAGES).map((name) => `node_modules/${name}`)];
    const node = dirname(process.execPath) === '/usr/bin' ? [] : ['-C', dirname(process.execPath), basename(process.execPath)];
    return this.#once(['bundles', ...signs], () => tar([
      '--owner=0', '--group=0', '--transform=s,^\\(dist\\|node_modules\\)\\(/\\|$\\),opt/kubreak/\\1\\2,S', `--transform=s,^${basename(process.execPath)}$,usr/local/bin/node,S`, '-C', bundleFolder, ...parts, ...node,
    ]));
  }

  /** One of the catalogue's folders. */
  folder(path: string): Promise<Layer> {
    return this.#once(['folder', path, statSync(path).mtimeMs], () => tar(['--owner=0', '--group=0', '--mtime=@0', '-C', path, '.']));
  }

  files(files: readonly CatalogueFile[]): Promise<Layer> {
    return this.#once(['files', files], () => {
      const archive = pack();
      for (const { path, text = '', link } of files) archive.entry({ name: path.replace(/^\//, ''), mtime: new Date(0), ...(link === undefined ? { mode: 0o644 } : { type: 'symlink', linkname: link }) }, link === undefined ? text : '');
      archive.finalize();
      return archive as unknown as Readable;
    });
  }

  #once(what: readonly unknown[], make: () => Readable): Promise<Layer> {
    const key = createHash('sha256').update(JSON.stringify([LAYOUT, what])).digest('hex');
    const known = this.#layers.get(key);
    if (known && this.path(known.digest) !== undefined) return Promise.resolve(known);
    const beingMade = this.#beingMade.get(key) ?? this.#make(key, String(what[0]), make()).finally(() => this.#beingMade.delete(key));
    this.#beingMade.set(key, beingMade);
    return beingMade;
  }

  async #make(key: string, name: string, archive: Readable): Promise<Layer> {
    const { root, log } = this.#options;
    const unfinished = join(root, 'blobs', `${key}.new`);
    const hash = createHash('sha256');
    let sizeBytes = 0;
    const count = new Transform({
      transform(chunk: Buffer, _, done) {
        hash.update(chunk);
        sizeBytes += chunk.length;
        done(null, chunk);
      },
    });
    await pipeline(archive, count, createWriteStream(unfinished));
    const layer = { digest: `sha256:${hash.digest('hex')}`, sizeBytes };
    renameSync(unfinished, join(root, 'blobs', layer.digest.replace('sha256:', '')));
    this.#layers.set(key, layer);
    replaceFile(this.#file, JSON.stringify(Object.fromEntries(this.#layers)));
    log.info({ layer: name, ...layer }, 'made a layer');
    return layer;
  }
}

/** With all that they depend on, where it is installed. */
function packagesBelow(folder: string, names: readonly string[]): string[] {
  const found = new Set<string>();
  for (const queue = [...names]; queue.length > 0;) {
    const name = queue.pop() ?? '';
    const description = join(folder, name, 'package.json');
    if (found.has(name) || !existsSync(description)) continue; // optional ones are for other machines
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(description, 'utf8')) as { dependencies?: object; optionalDependencies?: object };
    queue.push(...Object.keys(dependencies), ...Object.keys(optionalDependencies));
  }
  return [...found].sort();
}

/** What tar writes; an error when it fails. */
function tar(words: readonly string[]): Readable {
  const child = spawn('tar', ['--create', '--sort=name', '--numeric-owner', '--format=gnu', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString('utf8')).slice(0, 2000)));
  // The archive ends when tar has: else a cut one would pass for whole.
  const output = child.stdout.pipe(new Transform({
    transform: (chunk: Buffer, _, done) => done(null, chunk),
    flush(done) {
      const settle = (code: number | null): void => done(code === 0 ? null : new Error(`tar ended with exit code ${code ?? 'none'}: ${complaint}`));
      if (child.exitCode !== null) settle(child.exitCode);
      else child.once('exit', settle);
    },
  }));
  child.once('error', (error) => output.destroy(error));
  return output;
}
