// Owners of files in volumes. A host in a user namespace may lack the users and groups that a pod names: its containers run
// as root of the cluster there, which then also owns the files.
import { chown as chownFile, lchown as lchownFile } from 'node:fs/promises';
import { readUserNamespace, type UserNamespace } from '#lib/service/user-namespace.ts';

let users: UserNamespace | undefined;

function available(uid: number, gid: number): [number, number] {
  users ??= readUserNamespace();
  return [users.hasUid(uid) ? uid : 0, users.hasGid(gid) ? gid : 0];
}

export const chown = (path: string, uid: number, gid: number): Promise<void> => chownFile(path, ...available(uid, gid));
export const lchown = (path: string, uid: number, gid: number): Promise<void> => lchownFile(path, ...available(uid, gid));
