// One layer of an image, a tar archive, becomes a folder that overlayfs can stack: whiteouts turn into its marks. Nothing is
// ever written outside the folder, whatever the archive says.
import { chmodSync, chownSync, closeSync, copyFileSync, existsSync, fchmodSync, fchownSync, futimesSync, lchownSync, linkSync, lstatSync, lutimesSync, mkdirSync, openSync, rmSync, symlinkSync, utimesSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract, type Extract, type Header } from 'tar-stream';
import { runCommand } from '#lib/service/run-command.ts';
import type { UserNamespace } from '#lib/service/user-namespace.ts';
import { MalformedImage } from '../../core/oci.ts';
import { RootFilesystem, type IsOpaque } from '../root-filesystem.ts';

type Entry = Extract extends AsyncIterable<infer Each> ? Each : never;

/** Most that one layer may hold. Bytes and entries. */
const LAYER_LIMIT_BYTES = 32 * 1024 ** 3;
const ENTRY_LIMIT = 2_000_000;
const PATH_LIMIT_BYTES = 4096;
/** Time for the marks of one layer; milliseconds. */
const MARK_TIMEOUT_MS = 120_000;

const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
const XATTR = 'SCHILY.xattr.';

export interface UnpackedLayer {
  readonly sizeBytes: number;
  readonly entries: number;
  /** Folders, with a slash before, which hide what lower layers have in them. */
  readonly opaque: readonly string[];
  /** What this host does not allow, in words: devices, attributes. */
  readonly skipped: readonly string[];
}

export interface UnpackOptions {
  readonly folder: string;
  /** Folders of the layers below, topmost first. */
  readonly below: readonly string[];
  readonly isOpaque: IsOpaque;
  readonly users: UserNamespace;
}

/** `tar` is the archive, uncompressed. Throws MalformedImage for an archive that is broken, too large or leads out of the image. */
export async function unpackLayer(tar: Readable, options: UnpackOptions): Promise<UnpackedLayer> {
  const layer = new LayerFolder(options);
  const entries = extract();
  const reading = (async () => { for await (const entry of entries) await layer.add(entry); })();
  try {
    await Promise.all([pipeline(tar, entries as unknown as NodeJS.WritableStream), reading]);
  } catch (error) {
    tar.destroy();
    throw error instanceof Error && /Invalid tar header|Unexpected end of data/.test(error.message) ? new MalformedImage(`the layer is no tar archive: ${error.message}`, { cause: error }) : error;
  }
  return layer.finish();
}

class LayerFolder {
  readonly #folder: string;
  readonly #root: RootFilesystem;
  readonly #users: UserNamespace;
  /** By the parent's path in the archive: where it is on disk. */
  readonly #parents = new Map<string, string>();
  #marks: string[][] = [];
  readonly #opaque = new Set<string>();
  readonly #whiteouts = new Set<string>();
  readonly #times = new Map<string, Date>();
  #sizeBytes = 0;
  #entries = 0;

  constructor({ folder, below, isOpaque, users }: UnpackOptions) {
    this.#folder = folder;
    this.#root = new RootFilesystem([{ at: '', lower: below, upper: folder, work: '' }], isOpaque);
    this.#users = users;
  }

  async add(entry: Entry): Promise<void> {
    const { header } = entry;
    if ((this.#entries += 1) > ENTRY_LIMIT) throw new MalformedImage(`the layer has more than ${ENTRY_LIMIT} entries`);
    const path = cleanPath(header.name);
    if (path === '/') this.#dress(this.#folder, header);
    else if (basename(path).startsWith(WHITEOUT)) this.#whiteout(path);
    else await this.#put(path, entry);
    entry.resume(); // what is left of it, if anything, so that the next one comes
  }

  #whiteout(path: string): void {
    const name = basename(path);
    const parent = this.#parent(path);
    if (name === OPAQUE) this.#opaque.add(parent.slice(this.#folder.length) || '/');
    else if (!name.startsWith(`${WHITEOUT}${WHITEOUT}`)) this.#whiteouts.add(join(parent, checkedName(name.slice(WHITEOUT.length), path)));
  }

  async #put(path: string, entry: Entry): Promise<void> {
    const { header } = entry;
    const at = join(this.#parent(path), basename(path));
    const there = lstatSync(at, { throwIfNoEntry: false });
    if (there && !(there.isDirectory() && header.type === 'directory')) {
      rmSync(at, { recursive: true, force: true });
      this.#forget(at);
    }
    switch (header.type) {
      case 'directory':
        if (!there?.isDirectory()) mkdirSync(at);
        this.#dress(at, header);
        break;
      case 'symlink':
        symlinkSync(header.linkname, at);
        lchownSync(at, ...this.#owner(header));
        lutimesSync(at, header.mtime, header.mtime);
        break;
      case 'link':
        this.#hardLink(at, header);
        break;
      case 'character-device': case 'block-device': case 'fifo': {
        const kind = { 'character-device': 'c', 'block-device': 'b', 'fifo': 'p' }[header.type];
        const [uid, gid] = this.#owner(header);
        this.#marks.push(['node', at, kind, String(header.devmajor), String(header.devminor), String(header.mode & 0o7777), String(uid), String(gid)]);
        break;
      }
      case 'file': case 'contiguous-file':
        await this.#file(at, entry);
        break;
      default:
        throw new MalformedImage(`the layer has an entry of an unknown type: ${header.name}`);
    }
    for (const [key, value] of Object.entries((header.pax ?? {}) as Readonly<Record<string, string>>)) {
      // tar-stream reads extended headers as UTF-8: a value that is not text has lost bytes, and is told, not written wrong.
      if (key.startsWith(XATTR)) this.#marks.push(value.includes('\uFFFD') ? ['note', `${at}: ${key.slice(XATTR.length)}`] : ['xattr', at, key.slice(XATTR.length), Buffer.from(value).toString('hex')]);
    }
  }

  /** What was still to be done to a path that is gone, or below it: a link may take its place and lead out of the image. */
  #forget(gone: string): void {
    const isGone = (path: string): boolean => path === gone || path.startsWith(`${gone}/`);
    this.#parents.clear();
    this.#marks = this.#marks.filter(([, path = '']) => !isGone(path));
    for (const path of [...this.#times.keys()].filter(isGone)) this.#times.delete(path);
    for (const path of [...this.#whiteouts].filter(isGone)) this.#whiteouts.delete(path);
    for (const path of [...this.#opaque].filter((below) => isGone(this.#folder + below))) this.#opaque.delete(path);
  }

  async #file(at: string, entry: Entry): Promise<void> {
    const { header } = entry;
    if ((this.#sizeBytes += header.size) > LAYER_LIMIT_BYTES) throw new MalformedImage(`the layer is larger than ${LAYER_LIMIT_BYTES} bytes`);
    const file = openSync(at, 'wx', 0o600);
    try {
      for await (const chunk of entry as AsyncIterable<Buffer>) for (let done = 0; done < chunk.length;) done += writeSync(file, chunk, done);
      fchownSync(file, ...this.#owner(header));
      fchmodSync(file, header.mode & 0o7777);
      futimesSync(file, header.mtime, header.mtime);
    } finally {
      closeSync(file);
    }
  }

  /** A link to a file of this layer; of one below, the file is brought up. */
  #hardLink(at: string, header: Header): void {
    const target = cleanPath(header.linkname);
    const inRoot = join(this.#root.resolve(dirname(target)), basename(target));
    const own = this.#folder + inRoot;
    if (!lstatSync(own, { throwIfNoEntry: false })) {
      const lower = this.#root.find(inRoot);
      if (!lower?.stats.isFile()) throw new MalformedImage(`the layer links ${header.name} to ${header.linkname}, which is not there`);
      this.#parent(inRoot);
      copyFileSync(lower.path, own);
      chownSync(own, lower.stats.uid, lower.stats.gid);
      chmodSync(own, lower.stats.mode & 0o7777);
    }
    linkSync(own, at);
  }

  #dress(folder: string, header: Header): void {
    chownSync(folder, ...this.#owner(header));
    chmodSync(folder, header.mode & 0o7777);
    this.#times.set(folder, header.mtime);
  }

  /** Users that this host does not have become root, as they do when a container runs. */
  #owner({ uid, gid }: Header): [number, number] {
    return [this.#users.hasUid(uid) ? uid : 0, this.#users.hasGid(gid) ? gid : 0];
  }

  /** The folder on disk in which an entry goes, links followed inside the image. */
  #parent(path: string): string {
    const parent = dirname(path);
    const known = this.#parents.get(parent);
    if (known !== undefined) return known;
    const made = this.#root.makeWritable(parent);
    this.#parents.set(parent, made);
    return made;
  }

  async finish(): Promise<UnpackedLayer> {
    const attribute = this.#users.isNested ? 'user.overlay.opaque' : 'trusted.overlay.opaque';
    for (const path of this.#whiteouts) {
      const there = lstatSync(path, { throwIfNoEntry: false });
      // What this layer has itself takes the place of what is below; a folder must not be joined with it.
      if (there?.isDirectory()) this.#opaque.add(path.slice(this.#folder.length));
      else if (!there) this.#marks.push(['whiteout', path]);
    }
    for (const path of this.#opaque) if (existsSync(this.#folder + path)) this.#marks.push(['opaque', join(this.#folder, path), attribute, Buffer.from('y').toString('hex')]);
    const skipped = this.#marks.length === 0 ? '' : await runCommand('perl', ['-e', MARKER], `${this.#marks.map((mark) => `${mark.length}\0${mark.join('\0')}\0`).join('')}`, MARK_TIMEOUT_MS);
    for (const [folder, time] of [...this.#times].reverse()) utimesSync(folder, time, time);
    return {
      sizeBytes: this.#sizeBytes, entries: this.#entries, opaque: [...this.#opaque],
      skipped: skipped.split('\n').filter((line) => line !== '').map((line) => line.replace(this.#folder, '')),
    };
  }
}

/** Absolute, without `.`; a path with `..` in it is refused rather than guessed at. */
function cleanPath(name: string): string {
  if (Buffer.byteLength(name) > PATH_LIMIT_BYTES || name.includes('\0')) throw new MalformedImage('the layer has an entry whose path is too long or contains a NUL');
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  for (const part of parts) checkedName(part, name);
  return `/${parts.join('/')}`;
}

function checkedName(name: string, path: string): string {
  if (name === '' || name === '.' || name === '..') throw new MalformedImage(`the layer leads out of the image: ${path}`);
  return name;
}

const CALLS: Readonly<Record<string, { readonly mknodat: number; readonly lsetxattr: number }>> = { x64: { mknodat: 259, lsetxattr: 189 }, arm64: { mknodat: 33, lsetxattr: 6 } };
const call = CALLS[process.arch] ?? { mknodat: -1, lsetxattr: -1 };

/**
 * What Node.js has no calls for: device files and extended attributes. Whiteouts and opaque marks must succeed; of the rest
 * it prints what this host refuses. In Perl, as edge/step-runner.ts.
 */
const MARKER = `use strict;
my @field = split(/\\0/, do { local $/; <STDIN> // '' }, -1);
sub attribute { my ($path, $name, $hex) = @_; my $value = pack('H*', $hex); return syscall(${call.lsetxattr}, "$path", "$name", $value, length($value), 0) != -1; }
sub node { my ($path, $mode, $device) = @_; my ($m, $d) = (0 + $mode, 0 + $device); return syscall(${call.mknodat}, -100, "$path", $m, $d) != -1; }
umask(0);
while (@field > 1) {
  my $count = shift @field;
  my ($do, $path, @rest) = splice(@field, 0, $count);
  if ($do eq 'whiteout') { node($path, 0020000, 0) or die "cannot mark $path as removed: $!\\n"; }
  elsif ($do eq 'opaque') { attribute($path, @rest) or die "cannot mark $path as replaced: $!\\n"; }
  elsif ($do eq 'xattr') { attribute($path, @rest) or print "$path: $rest[0]: $!\\n"; }
  elsif ($do eq 'note') { print "$path\\n"; }
  elsif ($do eq 'node') {
    my ($kind, $major, $minor, $mode, $uid, $gid) = @rest;
    my $type = $kind eq 'c' ? 0020000 : $kind eq 'b' ? 0060000 : 0010000;
    my $device = $kind eq 'p' ? 0 : (($minor & 0xff) | (($major & 0xfff) << 8) | (($minor & ~0xff) << 12));
    if (node($path, $type | $mode, $device)) { chown($uid, $gid, $path); chmod($mode, $path); }
    else { print "$path: device: $!\\n"; }
  }
}
`;
