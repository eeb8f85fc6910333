// An HTTP server that listens as long as its service runs.
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Resolves with the port (that of the system's choice for 0); the server and its connections close when `signal` aborts. Rejects when the address is taken. */
export async function listenUntilAborted(server: Server, { host, port }: { readonly host: string; readonly port: number }, signal: AbortSignal): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  signal.addEventListener('abort', () => {
    server.close();
    server.closeAllConnections();
  }, { once: true });
  return (server.address() as AddressInfo).port;
}
