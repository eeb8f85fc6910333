// Which users and groups this process can have. As root of the machine: all. In a user namespace, as a rootless cluster is:
// those mapped into it, often only one.
import { readFileSync } from 'node:fs';

/** Of the initial namespace: every id but the last, which means none. Source: Linux, user_namespaces(7). */
const ALL_IDS = 4_294_967_295;

interface IdRange {
  readonly first: number;
  readonly count: number;
}

export interface UserNamespace {
  /** Whether it is another than the machine's own: no limits by cgroups, no device files, overlays with user.* attributes. */
  readonly isNested: boolean;
  hasUid(uid: number): boolean;
  hasGid(gid: number): boolean;
  /** Whether a process may set its supplementary groups; a namespace with one id forbids it. */
  readonly canSetGroups: boolean;
}

export function parseIdMap(text: string): IdRange[] {
  return text.split('\n').filter((line) => line.trim() !== '').map((line) => {
    const [first = '', , count = ''] = line.trim().split(/\s+/);
    return { first: Number(first), count: Number(count) };
  });
}

export function readUserNamespace(): UserNamespace {
  const [uids, gids] = ['uid_map', 'gid_map'].map((file) => parseIdMap(readFileSync(`/proc/self/${file}`, 'utf8'))) as [IdRange[], IdRange[]];
  const contains = (ranges: readonly IdRange[], id: number): boolean => ranges.some(({ first, count }) => id >= first && id < first + count);
  return {
    isNested: !uids.some(({ first, count }) => first === 0 && count === ALL_IDS),
    hasUid: (uid) => contains(uids, uid),
    hasGid: (gid) => contains(gids, gid),
    canSetGroups: readFileSync('/proc/self/setgroups', 'utf8').trim() === 'allow',
  };
}
