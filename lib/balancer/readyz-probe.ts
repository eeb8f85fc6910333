// Asks an API server over HTTPS whether it is ready, as balancers in front of API servers do: `GET /readyz`, without a
// certificate and without looking at the server's. The connection is kept for the next question.
import { Agent, request } from 'node:https';
import type { Address, Health } from './backends.ts';
import type { Probe } from './tcp-balancer.ts';

export function readyzProbe(): Probe {
  const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  return ({ host, port }: Address, signal) => new Promise<Health>((resolve, reject) => {
    const asking = request({ host, port, path: '/readyz', agent, signal, headers: { 'user-agent': 'kubreak-balancer' } }, (response) => {
      response.resume();
      response.once('end', () => resolve(response.statusCode === 200 ? 'ready' : 'alive'));
      response.once('error', () => resolve('down'));
    });
    asking.once('error', (error) => (signal.aborted ? reject(error) : resolve('down')));
    asking.end();
  });
}
