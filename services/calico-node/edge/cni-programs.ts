// The CNI programs in the host's /opt/cni/bin, where Calico's installer puts its own. Each is a line that runs the bundle which is on
// every host; a container runtime that has the network built in never calls them.
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';

const PROGRAMS = ['calico', 'calico-ipam', 'loopback', 'portmap'] as const;
const BUNDLE = '/opt/kubreak/dist/cni.js';

/** Complete before the configuration that names them is there. Returns those that had to be written. */
export async function installCniPrograms(folder: string): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const written: string[] = [];
  for (const name of PROGRAMS) {
    const text = `#!/bin/sh\nexec node --max-semi-space-size=1 ${BUNDLE} ${name}\n`;
    const path = `${folder}/${name}`;
    if ((await readFile(path, 'utf8').catch(absent)) === text) continue;
    const unfinished = `${folder}/.${name}.new`;
    await writeFile(unfinished, text);
    await chmod(unfinished, 0o755);
    await rename(unfinished, path);
    written.push(name);
  }
  return written;
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
