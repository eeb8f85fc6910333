import assert from 'node:assert/strict';
import { test } from 'node:test';
import { featuresOf } from './feature-gates.ts';

const features = (featureGates: string, initial = '', compact = ''): unknown => {
  const { InitialCorruptCheck, CompactHashCheck } = featuresOf({
    featureGates, experimentalInitialCorruptCheck: initial, experimentalCompactHashCheckEnabled: compact, experimentalStopGrpcServiceOnDefrag: '', experimentalTxnModeWriteWithSharedBuffer: '',
    experimentalEnableLeaseCheckpoint: '', experimentalEnableLeaseCheckpointPersist: '',
  });
  return [InitialCorruptCheck, CompactHashCheck];
};

test('features are given by name, by their group, or by the flags of before', () => {
  assert.deepEqual(features(''), [false, false]);
  assert.deepEqual(features('InitialCorruptCheck=true'), [true, false]);
  assert.deepEqual(features('AllAlpha=true,CompactHashCheck=false'), [true, false]);
  assert.deepEqual(features('TxnModeWriteWithSharedBuffer=false, CompactHashCheck=1'), [false, true]);
  assert.deepEqual(features('', 'true', 'true'), [true, true]);
  assert.deepEqual(features('CompactHashCheck=true', 'true'), [true, true]);
});

test('what etcd refuses is refused in its words', () => {
  assert.throws(() => features('Nonsense=true'), /unrecognized feature gate: Nonsense/);
  assert.throws(() => features('CompactHashCheck'), /missing bool value for CompactHashCheck/);
  assert.throws(() => features('CompactHashCheck=maybe'), /invalid value of CompactHashCheck=maybe, err: strconv.ParseBool: parsing "maybe": invalid syntax/);
  assert.throws(() => features('InitialCorruptCheck=true', 'true'), /cannot specify both flags: --experimental-initial-corrupt-check=true and --feature-gates=InitialCorruptCheck=true at the same time, please just use --feature-gates=InitialCorruptCheck=true/);
});
