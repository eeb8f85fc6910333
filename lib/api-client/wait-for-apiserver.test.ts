import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { isListening } from './wait-for-apiserver.ts';

test('a server listens from its first moment to its last', async () => {
  const server = createServer((socket) => socket.end());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  assert.equal(await isListening(`https://127.0.0.1:${port}`), true);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await isListening(`https://127.0.0.1:${port}`), false);
});
