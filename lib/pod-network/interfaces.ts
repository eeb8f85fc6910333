// Which network interfaces there are.
import { readFileSync } from 'node:fs';

/** By /proc, which shows the network namespace of the reader; /sys shows the one in which it was mounted. */
export const hasInterface = (name: string): boolean => readFileSync('/proc/self/net/dev', 'utf8').split('\n').some((line) => line.trimStart().startsWith(`${name}:`));
