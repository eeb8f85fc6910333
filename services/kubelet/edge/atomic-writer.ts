// Writes the files of a volume so that a reader sees either all old or all new ones: they lie in a folder of their own,
// `..data` links to it, and the names users see are links into `..data`. Source: pkg/volume/util/atomic_writer.go.
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeWrite } from '#lib/service/disk-fault.ts';
import { isInside, VolumeError, type Payload } from '../core/volume-payload.ts';
import { chown } from './ownership.ts';

const DATA = '..data';
const NEW_DATA = '..data_tmp';

export interface WriteOptions extends Ownership {
  /** Of the kubelet, whose disk may be full. */
  readonly dataFolder?: string;
}

export interface Ownership {
  readonly uid?: number | undefined;
  /** Group that may read, too. */
  readonly gid?: number | undefined;
}

/** Returns whether anything had to be written. */
export async function writeAtomically(folder: string, payload: Payload, { uid, gid, dataFolder }: WriteOptions = {}): Promise<boolean> {
  for (const path of payload.keys()) if (!isInside(path) || path.startsWith('..')) throw new VolumeError(`invalid path: ${path}`);
  const current = await readlink(join(folder, DATA)).catch(ignoreMissing);
  if (current !== undefined && (await holds(join(folder, current), payload))) {
    await linkNames(folder, payload);
    return false;
  }
  if (dataFolder !== undefined) beforeWrite(dataFolder);
  // The time keeps the name readable, mkdtemp makes it unique.
  const stamp = new Date().toISOString().replaceAll('-', '_').replace('T', '_').replaceAll(':', '_').slice(0, 19);
  const fresh = await mkdtemp(join(folder, `..${stamp}.`));
  await chmod(fresh, 0o755);
  for (const [path, { content, mode }] of payload) {
    const target = join(fresh, path);
    await mkdir(dirname(target), { recursive: true, mode: 0o755 });
    await writeFile(target, content);
    // Explicitly, since writeFile's mode is cut by the umask.
    await chmod(target, gid === undefined ? mode : mode | 0o440);
    if (uid !== undefined || gid !== undefined) await chown(target, uid ?? 0, gid ?? 0);
  }
  await rm(join(folder, NEW_DATA), { force: true });
  await symlink(fresh.slice(folder.length).replace(/^\/+/, ''), join(folder, NEW_DATA));
  await rename(join(folder, NEW_DATA), join(folder, DATA));
  await linkNames(folder, payload);
  if (current !== undefined) await rm(join(folder, current), { recursive: true, force: true });
  return true;
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'EINVAL') return undefined;
  throw error;
}

/** The names that users see: the first part of each path. Those that went are removed, new ones made. */
async function linkNames(folder: string, payload: Payload): Promise<void> {
  const wanted = new Set([...payload.keys()].map((path) => path.split('/')[0] ?? path));
  for (const name of await readdir(folder)) {
    if (!name.startsWith('..') && !wanted.has(name)) await rm(join(folder, name), { recursive: true, force: true });
  }
  for (const name of wanted) {
    const link = join(folder, name);
    const exists = await lstat(link).catch(ignoreMissing);
    if (!exists) await symlink(join(DATA, name), link);
  }
}

async function holds(folder: string, payload: Payload): Promise<boolean> {
  const present = await filesBelow(folder).catch(ignoreMissing);
  if (!present || present.length !== payload.size) return false;
  for (const path of present) {
    const wanted = payload.get(path);
    if (!wanted || !Buffer.from(wanted.content).equals(await readFile(join(folder, path)))) return false;
  }
  return true;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
