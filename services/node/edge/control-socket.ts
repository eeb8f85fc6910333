// A unix socket on which the tools inside the host ask: one JSON line in, one JSON line out.
import { rmSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';

/** Longest request; bytes. */
const MAX_REQUEST_BYTES = 64 * 1024;

export async function serveControlSocket(path: string, answer: (request: unknown) => Promise<unknown>, signal: AbortSignal): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.setTimeout(120_000, () => socket.destroy());
    let received = 0;
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > MAX_REQUEST_BYTES) socket.destroy();
    });
    const lines = createInterface({ input: socket });
    lines.once('line', (line) => {
      Promise.resolve().then(() => answer(JSON.parse(line)))
        .catch((error: unknown) => ({ exitCode: 1, stdout: '', stderr: `${error instanceof Error ? error.message : String(error)}\n` }))
        .then((reply) => socket.end(`${JSON.stringify(reply)}\n`), () => socket.destroy());
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  signal.addEventListener('abort', () => server.close(), { once: true });
}
