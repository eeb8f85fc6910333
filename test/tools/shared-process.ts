// Which test files run together in one process: those of pure functions. Most of what such a file takes alone is to start.
import { basename } from 'node:path';

const OF_PURE_FUNCTIONS = /^(?:services|cli)\/[^/]+\/core\/|^lib\/(?:kinds|machinery)\/|^services\/controller-manager\/controllers\//;

/** `path` is relative to the project. Simulations are pure, too, but long. */
export const sharesProcess = (path: string): boolean => OF_PURE_FUNCTIONS.test(path) && !basename(path).endsWith('.sim.test.ts');
