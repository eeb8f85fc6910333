import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getCiphers } from 'node:tls';
import { checkCiphersForHttp2, opensslCiphers } from './cipher-suites.ts';

test('suites are chosen by their names in Go; those of TLS 1.3 are always on', () => {
  assert.equal(opensslCiphers([]), undefined);
  assert.equal(opensslCiphers(['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305', 'TLS_AES_128_GCM_SHA256', 'TLS_RSA_WITH_RC4_128_SHA']),
    'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305');
});

test('OpenSSL knows each of them', () => {
  const known = new Set(getCiphers().map((name) => name.toUpperCase()));
  for (const name of opensslCiphers(['TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256', 'TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA', 'TLS_RSA_WITH_AES_256_GCM_SHA384', 'TLS_RSA_WITH_AES_128_CBC_SHA256', 'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256'])?.split(':') ?? []) {
    assert.ok(known.has(name), name);
  }
});

test('other names are refused, and so are suites with which HTTP/2 cannot be spoken', () => {
  assert.throws(() => opensslCiphers(['ECDHE-RSA-AES128-GCM-SHA256']), { message: 'unexpected TLS cipher suite "ECDHE-RSA-AES128-GCM-SHA256"' });
  assert.throws(() => checkCiphersForHttp2(['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384']), { message: /^http2: TLSConfig.CipherSuites is missing an HTTP\/2-required AES_128_GCM_SHA256 cipher/ });
  checkCiphersForHttp2(['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256']);
  checkCiphersForHttp2([]);
});
