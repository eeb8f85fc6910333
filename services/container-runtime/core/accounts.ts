// Who a container's process is: the user of the pod or the image, looked up in the image's /etc/passwd and /etc/group.
import type { ContainerConfig } from '#lib/cri/messages.ts';
import type { Account } from './container-plan.ts';

interface AccountFiles {
  /** Text of /etc/passwd in the image; empty when there is none. */
  readonly passwd: string;
  readonly group: string;
}

const rows = (text: string): string[][] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => line.split(':'));

/** Throws when a user or group name is not in the image; numbers need not be. */
export function accountOf(config: ContainerConfig, imageUser: string, { passwd, group }: AccountFiles): Account {
  const context = config.linux?.securityContext;
  const [imageName = '', imageGroup = ''] = imageUser.split(':');
  const name = context?.runAsUser ? String(context.runAsUser.value) : context?.runAsUsername || imageName || '0';
  const users = rows(passwd);
  const groups = rows(group);
  const user = users.find((row) => row[0] === name) ?? users.find((row) => row[2] === name);
  if (!user && !/^\d+$/.test(name)) throw new Error(`unable to find user ${name}: no matching entries in passwd file`);
  const uid = user ? Number(user[2]) : Number(name);

  const groupName = context?.runAsGroup ? String(context.runAsGroup.value) : context?.runAsUser ? '' : imageGroup;
  const found = groups.find((row) => row[0] === groupName || row[2] === groupName);
  if (groupName !== '' && !found && !/^\d+$/.test(groupName)) throw new Error(`unable to find group ${groupName}: no matching entries in group file`);
  const gid = groupName !== '' ? Number(found?.[2] ?? groupName) : Number(user?.[3] ?? 0);

  const isMember = (row: readonly string[]): boolean => user !== undefined && (row[3] ?? '').split(',').includes(user[0] ?? '');
  const own = context?.supplementalGroupsPolicy === 'Strict' ? [] : groups.filter(isMember).map((row) => Number(row[2]));
  return { uid, gid, groups: [...new Set([gid, ...own, ...(context?.supplementalGroups ?? [])])], home: user?.[5] || '/' };
}

/** The users and groups that there are on this host: in a user namespace not all. */
export interface AvailableIds {
  hasUid(uid: number): boolean;
  hasGid(gid: number): boolean;
  readonly canSetGroups: boolean;
}

/**
 * The account itself, or what takes its place where the host does not have its user: root of the cluster, which there is an
 * ordinary user of the machine, without any capability (`isSubstitute`).
 */
export function availableAccount(account: Account, ids: AvailableIds): Account {
  const groups = ids.canSetGroups ? account.groups?.filter((gid) => ids.hasGid(gid)) : undefined;
  const gid = ids.hasGid(account.gid) ? account.gid : 0;
  return ids.hasUid(account.uid) ? { ...account, gid, groups } : { ...account, uid: 0, gid, groups, isSubstitute: true };
}
