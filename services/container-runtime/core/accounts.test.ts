import assert from 'node:assert/strict';
import { test } from 'node:test';
import { availableAccount } from './accounts.ts';

const account = { uid: 101, gid: 101, groups: [101, 2000], home: '/srv' };
const only = (ids: readonly number[], canSetGroups: boolean) => ({ hasUid: (id: number) => ids.includes(id), hasGid: (id: number) => ids.includes(id), canSetGroups });

test('a user that the host has is itself', () => {
  assert.deepEqual(availableAccount(account, only([0, 101, 2000], true)), account);
});

test('where there is only root, it takes the place of others, and no groups are set', () => {
  assert.deepEqual(availableAccount(account, only([0], false)), { uid: 0, gid: 0, groups: undefined, home: '/srv', isSubstitute: true });
});
