import assert from 'node:assert/strict';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder, writeCertificates } from '../../testing.ts';
import { KeyPairFiles } from './key-pair.ts';

const folder = temporaryFolder();
after(() => folder.remove());
await writeCertificates(folder.path);
const file = (name: string): string => join(folder.path, name);

test('a certificate and its key are read anew when the files were replaced', () => {
  for (const end of ['crt', 'key']) copyFileSync(file(`server.${end}`), file(`shown.${end}`));
  const files = new KeyPairFiles(file('shown.crt'), file('shown.key'));
  const before = files.read();
  assert.equal(files.read(), before);
  for (const end of ['crt', 'key']) copyFileSync(file(`client.${end}`), file(`shown.${end}`));
  assert.notDeepEqual(files.read().cert, before.cert);
});

test('files that do not go together are refused in the words of Go', () => {
  writeFileSync(file('empty'), '');
  const refusal = (cert: string, key: string, message: string): void => assert.throws(() => new KeyPairFiles(file(cert), file(key)).read(), { name: 'TlsError', message });
  refusal('server.crt', 'client.key', 'tls: private key does not match public key');
  refusal('missing.crt', 'server.key', `open ${file('missing.crt')}: no such file or directory`);
  refusal('empty', 'server.key', 'tls: failed to find any PEM data in certificate input');
  refusal('server.key', 'server.key', 'tls: failed to find "CERTIFICATE" PEM block in certificate input');
  refusal('server.crt', 'empty', 'tls: failed to find any PEM data in key input');
});
