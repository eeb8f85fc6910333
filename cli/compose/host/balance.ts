// The container `balancer`: what clients on the machine take for the API server when there are several masters.
import { createServer } from 'node:net';
import { readyzProbe } from '#lib/balancer/readyz-probe.ts';
import { TcpBalancer } from '#lib/balancer/tcp-balancer.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { systemRandom } from '#lib/environment/random.ts';
import { API_PORT, apiServersOf, type HostLayout } from '../../cluster-layout.ts';

export async function balance(hosts: readonly HostLayout[]): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0)); // PID 1 has no other way to hear of them
  const balancer = new TcpBalancer({
    addresses: apiServersOf(hosts), newProbe: readyzProbe, clock: systemClock, random: systemRandom,
    onHealth: ({ host, port }, health) => process.stdout.write(`${host}:${port} is ${health}\n`),
  });
  createServer({ allowHalfOpen: true, noDelay: true }, (client) => void balancer.serve(client)).listen(API_PORT);
  await balancer.run(new AbortController().signal);
}
