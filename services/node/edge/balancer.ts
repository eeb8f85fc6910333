// The balancer in front of several API servers, on the loopback address of every host: what kubelet, kube-proxy, calico-node
// and people's kubeconfigs name as the API server.
import { createServer } from 'node:net';
import { readyzProbe } from '#lib/balancer/readyz-probe.ts';
import { TcpBalancer } from '#lib/balancer/tcp-balancer.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { BalancerConfig } from '../core/host-config.ts';

/** Resolves when it listens. A port that is taken is reported, and the host goes on without. */
export async function serveBalancer({ listen, servers }: BalancerConfig, { clock, random, log }: Environment, signal: AbortSignal): Promise<void> {
  const balancer = new TcpBalancer({
    addresses: servers, newProbe: readyzProbe, clock, random,
    onHealth: ({ host, port }, health) => log.info({ server: `${host}:${port}`, health }, 'API server changed its health'),
  });
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => void balancer.serve(client));
  await new Promise<void>((resolve) => {
    server.once('error', (error) => {
      log.error({ err: error, ...listen }, 'cannot listen for clients of the API servers');
      resolve();
    });
    server.listen(listen.port, listen.host, resolve);
  });
  signal.addEventListener('abort', () => server.close(), { once: true });
  void balancer.run(signal);
}
