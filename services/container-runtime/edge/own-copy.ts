// A folder of the machine copied to this host's disk. In a user namespace what belongs to users outside it can be read but
// not be changed, not even in an overlay over it; of the copy root of the host is the owner.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, lstatSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** The path of the copy, in `store`; made anew, beside the old ones, when the folder has changed. */
export function ownCopy(folder: string, store: string): string {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => join(entry.parentPath, entry.name)).sort();
  const signs = files.map((path) => {
    const { size, mtimeMs, mode } = lstatSync(path);
    return [path, size, mtimeMs, mode];
  });
  const copy = join(store, createHash('sha256').update(JSON.stringify(signs)).digest('hex').slice(0, 12));
  if (existsSync(copy)) return copy;
  rmSync(`${copy}.new`, { recursive: true, force: true });
  cpSync(folder, `${copy}.new`, { recursive: true, verbatimSymlinks: true });
  renameSync(`${copy}.new`, copy);
  return copy;
}
