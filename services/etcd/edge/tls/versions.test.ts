import assert from 'node:assert/strict';
import { test } from 'node:test';
import { versionsOf } from './versions.ts';

const versions = (tlsMinVersion: string, tlsMaxVersion: string, cipherSuites: readonly string[] = []): unknown => versionsOf({ tlsMinVersion, tlsMaxVersion, cipherSuites });

test('versions of TLS go from the lowest to the highest that flags name', () => {
  assert.deepEqual(versions('', ''), { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' });
  assert.deepEqual(versions('TLS1.2', 'TLS1.2'), { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' });
  assert.deepEqual(versions('TLS1.3', ''), { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' });
});

test('what cannot be is refused in the words of etcd', () => {
  assert.throws(() => versions('TLS1.1', ''), { message: 'unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)' });
  assert.throws(() => versions('TLS1.2', 'newest'), { message: 'unexpected TLS version "newest" (must be one of: TLS1.2, TLS1.3)' });
  assert.throws(() => versions('TLS1.3', 'TLS1.2'), { message: 'min version (TLS1.3) is greater than max version (TLS1.2)' });
  assert.throws(() => versions('TLS1.3', '', ['TLS_AES_128_GCM_SHA256']), { message: 'cipher suites cannot be configured when only TLS1.3 is enabled' });
});
