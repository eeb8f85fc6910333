// The CNI configuration file: written beside and moved into place, so that the runtime never reads half of one.
import { mkdir, open, readFile, rename } from 'node:fs/promises';

/** Returns whether the file had to be changed. */
export async function writeCniConfig(folder: string, name: string, text: string): Promise<boolean> {
  const file = `${folder}/${name}`;
  const present = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (present === text) return false;
  await mkdir(folder, { recursive: true });
  // The runtime takes the first *.conf, *.conflist or *.json it finds: the unfinished file has none of these names.
  const unfinished = `${folder}/.${name}.tmp`;
  const handle = await open(unfinished, 'w', 0o644);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
  return true;
}
