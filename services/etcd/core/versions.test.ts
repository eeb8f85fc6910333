import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';
import type { DowngradeInfo } from './cluster-members.ts';
import { compareVersions, decideClusterVersion, isDowngraded, isTooOldFor, mayJoin, objectionToDowngrade, parseTargetVersion, storageVersionOf } from './versions.ts';

const NONE: DowngradeInfo = { enabled: false, targetVersion: '' };
const to = (targetVersion: string): DowngradeInfo => ({ enabled: true, targetVersion });

test('a target is a version with two or three numbers', () => {
  const table: [string, string | undefined][] = [
    ['3.5', '3.5.0'], ['3.5.13', '3.5.0'], ['3.5.0-rc.1', '3.5.0'], ['3', undefined], ['v3.5', undefined], ['', undefined], ['3.5.', undefined], ['3.x', undefined], ['3.5.1.2', undefined],
  ];
  for (const [text, expected] of table) assert.equal(parseTargetVersion(text), expected, text);
});

test('a downgrade goes one minor version down, and one at a time', () => {
  assert.equal(objectionToDowngrade('3.5.0', '3.6.0', NONE), undefined);
  assert.equal(objectionToDowngrade('3.5.0', '', NONE), 'ClusterVersionUnavailable');
  for (const target of ['3.6.0', '3.7.0', '3.4.0', '2.5.0']) assert.equal(objectionToDowngrade(target, '3.6.0', NONE), 'InvalidDowngradeTargetVersion', target);
  assert.equal(objectionToDowngrade('3.5.0', '3.6.0', to('3.5.0')), 'DowngradeInProcess');
});

// Cases of etcd v3.6, TestDecideClusterVersion.
test('the cluster speaks the version of its oldest member', () => {
  const decide = (clusterVersion: string, serverVersions: (string | undefined)[], downgrade = NONE): unknown => decideClusterVersion({ clusterVersion, serverVersions, downgrade });
  assert.deepEqual(decide('', ['3.6.8', undefined]), { version: '3.0.0' });
  assert.deepEqual(decide('', ['3.6.8', '3.5.1']), { version: '3.5.0' });
  assert.deepEqual(decide('3.0.0', ['3.6.8', '3.6.1']), { version: '3.6.0' });
  assert.equal(decide('3.0.0', ['3.6.8', undefined]), undefined);
  assert.equal(decide('3.6.0', ['3.6.8', '3.5.1']), undefined); // it does not go down by itself
  assert.equal(decide('3.6.0', ['3.6.8']), undefined);
  assert.deepEqual(decide('3.6.0', ['3.6.8', '3.6.1'], to('3.5.0')), { version: '3.5.0' });
  assert.equal(decide('3.5.0', ['3.6.8', '3.5.1'], to('3.5.0')), undefined);
  assert.deepEqual(decide('3.6.0', ['3.6.8'], to('3.4.0')), { refused: 'invalid downgrade target' });
  assert.deepEqual(decide('3.5.0', ['3.6.8']), { version: '3.6.0' }); // cancelled
  assert.equal(decide('3.6.0', ['4.0.0']), undefined);
});

test('a downgrade is done when every member runs the target version', () => {
  assert.equal(isDowngraded(['3.5.1', '3.5.9'], '3.5.0'), true);
  assert.equal(isDowngraded(['3.5.1', '3.6.8'], '3.5.0'), false);
  assert.equal(isDowngraded(['3.5.1', undefined], '3.5.0'), false);
});

test('members older than the cluster stay out, but for those that a downgrade leads to', () => {
  assert.equal(isTooOldFor('3.6.8', '3.7.0'), true);
  assert.equal(isTooOldFor('3.6.8', '3.6.0'), false);
  assert.equal(isTooOldFor('3.6.8', ''), false);
  assert.equal(mayJoin('3.6.8', ['3.6.0', '3.5.0'], false), true);
  assert.equal(mayJoin('3.6.8', ['3.7.0'], false), false);
  assert.equal(mayJoin('3.6.8', ['3.7.0'], true), true);
  assert.equal(mayJoin('3.6.8', ['3.6.0'], true), false);
});

test('the storage version is told once the cluster has one of its own', () => {
  assert.deepEqual(['', '3.0.0', '3.5.0', '3.6.0'].map(storageVersionOf), ['', '', '3.5.0', '3.6.0']);
});

test('members that are replaced one after the other, with downgrades begun and cancelled at any time, never run in a cluster that is too new for them', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seededRandom(seed);
    const servers = ['3.6.8', '3.6.8', '3.6.8'];
    let [clusterVersion, downgrade] = ['', NONE];
    for (let step = 0; step < 200; step += 1) {
      const told = servers.map((version) => (random.fraction() < 0.1 ? undefined : version)); // one is down now and then
      const decision = decideClusterVersion({ clusterVersion, serverVersions: told, downgrade });
      if (decision !== undefined && 'version' in decision) {
        const isLower = clusterVersion !== '' && compareVersions(decision.version, clusterVersion) < 0;
        assert.ok(!isLower || (downgrade.enabled && decision.version === downgrade.targetVersion), `seed ${seed}: went down to ${decision.version} unasked`);
        clusterVersion = decision.version;
      }
      if (downgrade.enabled && isDowngraded(told, downgrade.targetVersion)) downgrade = NONE;
      const target = `3.${4 + integerBelow(random, 4)}.0`;
      if (random.fraction() < 0.1 && objectionToDowngrade(target, clusterVersion, downgrade) === undefined) downgrade = to(target);
      else if (random.fraction() < 0.02) downgrade = NONE;
      const other = `3.${4 + integerBelow(random, 4)}.8`;
      // A member of another version starts only where it does not find itself too old.
      if (random.fraction() < 0.3 && !isTooOldFor(other, clusterVersion)) servers[integerBelow(random, servers.length)] = other;
      for (const server of servers) assert.ok(!isTooOldFor(server, clusterVersion), `seed ${seed}: ${server} in a cluster of ${clusterVersion}`);
    }
  }
});
