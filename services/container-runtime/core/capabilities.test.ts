import assert from 'node:assert/strict';
import { test } from 'node:test';
import { capabilitiesToDrop } from './capabilities.ts';

const NET_ADMIN = 12;
const NET_BIND_SERVICE = 10;
const CHOWN = 0;

test('a container may not administer the network unless it says so', () => {
  assert.ok(capabilitiesToDrop({ add: [], drop: [], isPrivileged: false }).includes(NET_ADMIN));
  assert.ok(!capabilitiesToDrop({ add: ['NET_ADMIN'], drop: [], isPrivileged: false }).includes(NET_ADMIN));
});

test('drop ALL and add one leaves that one', () => {
  const dropped = capabilitiesToDrop({ add: ['CAP_NET_BIND_SERVICE'], drop: ['ALL'], isPrivileged: false });
  assert.ok(!dropped.includes(NET_BIND_SERVICE));
  assert.ok(dropped.includes(CHOWN));
});

test('privileged drops nothing, add ALL drops only what is named', () => {
  assert.deepEqual(capabilitiesToDrop({ add: [], drop: [], isPrivileged: true }), []);
  assert.deepEqual(capabilitiesToDrop({ add: ['ALL'], drop: ['NET_ADMIN'], isPrivileged: false }), [NET_ADMIN]);
});

test('an unknown capability is refused', () => {
  assert.throws(() => capabilitiesToDrop({ add: ['NET_ADMINN'], drop: [], isPrivileged: false }), /unknown capability "CAP_NET_ADMINN"/);
});
