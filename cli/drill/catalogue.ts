// Where drills come from: those that kubreak ships, and files.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../user-error.ts';
import { TIME_NAMES } from './core/cluster-times.ts';
import type { Drill } from './core/drill.ts';
import { nearest } from './core/nearest.ts';
import { MAX_DRILL_BYTES, parseDrill } from './core/parse-drill.ts';

export interface FoundDrill {
  readonly path: string;
  readonly text: string;
  readonly drill: Drill;
}

/** Beside the bundle, also for those who run from the sources. */
function shippedFolder(): string {
  const here = fileURLToPath(import.meta.url);
  return here.endsWith('.ts') ? join(dirname(here), '../../drills') : join(dirname(here), 'drills');
}

export function shippedNames(): string[] {
  return readdirSync(shippedFolder()).filter((name) => name.endsWith('.yaml')).map((name) => basename(name, '.yaml')).sort();
}

/** A name of a shipped drill, or a file. Throws UserError (exit code 2) with all that is wrong with it. */
export function findDrill(nameOrFile: string): FoundDrill {
  const isName = /^[a-z0-9-]+$/.test(nameOrFile) && !existsSync(nameOrFile);
  if (isName && !shippedNames().includes(nameOrFile)) {
    const near = nearest(nameOrFile, shippedNames());
    throw new UserError(`no drill is called "${nameOrFile}"${near === undefined ? '; see kubreak drill list' : `: is ${near} meant?`}`, 2);
  }
  const path = isName ? join(shippedFolder(), `${nameOrFile}.yaml`) : nameOrFile;
  const text = readText(path);
  const { drill, problems } = parseDrill(text, TIME_NAMES);
  if (!drill) throw new UserError(problems.map(({ line, column, message }) => `${path}:${line}:${column}: ${message}`).join('\n'), 2);
  if (isName && drill.name !== nameOrFile) throw new UserError(`${path}:1:1: the drill is called ${drill.name}, and its file ${nameOrFile}.yaml`, 2);
  return { path, text, drill };
}

function readText(path: string): string {
  try {
    if (statSync(path).size > MAX_DRILL_BYTES) throw new UserError(`${path}:1:1: a drill is at most ${MAX_DRILL_BYTES / 1024} KiB long`, 2);
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${path} cannot be read: ${(error as Error).message}`, 2);
  }
}
