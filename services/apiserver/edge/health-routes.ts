// /healthz, /livez and /readyz with their single checks, as k8s.io/apiserver's healthz package answers them.
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { HealthCheck } from '#lib/service/health-server.ts';

export interface HealthEndpoints {
  readonly healthz: readonly HealthCheck[];
  readonly livez: readonly HealthCheck[];
  readonly readyz: readonly HealthCheck[];
}

interface Result {
  readonly name: string;
  /** Undefined: healthy. */
  readonly reason: string | undefined;
  readonly isExcluded: boolean;
}

async function run({ check }: HealthCheck): Promise<string | undefined> {
  try {
    return await check();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function answer(endpoint: string, checks: readonly HealthCheck[], request: FastifyRequest, reply: FastifyReply, onFailure: (endpoint: string, failed: readonly Result[]) => void) {
  const { query } = request.api;
  const excluded = new Set(query.getAll('exclude'));
  const results = await Promise.all(checks.map(async (check): Promise<Result> =>
    (excluded.has(check.name) ? { name: check.name, reason: undefined, isExcluded: true } : { name: check.name, reason: await run(check), isExcluded: false })));
  const failed = results.filter(({ reason }) => reason !== undefined);
  void reply.header('content-type', 'text/plain; charset=utf-8').header('x-content-type-options', 'nosniff');
  if (failed.length === 0 && !query.has('verbose')) return reply.code(200).send('ok');
  const lines = results.map(({ name, reason, isExcluded }) =>
    (isExcluded ? `[+]${name} excluded: ok` : reason === undefined ? `[+]${name} ok` : `[-]${name} failed: reason withheld`));
  if (failed.length > 0) onFailure(endpoint, failed);
  return reply.code(failed.length === 0 ? 200 : 500).send(`${lines.join('\n')}\n${endpoint} check ${failed.length === 0 ? 'passed' : 'failed'}\n`);
}

export function healthRoutes(app: FastifyInstance, endpoints: HealthEndpoints, onFailure: (endpoint: string, failed: readonly Result[]) => void): void {
  for (const [endpoint, checks] of Object.entries(endpoints) as [string, readonly HealthCheck[]][]) {
    app.get(`/${endpoint}`, (request, reply) => answer(endpoint, checks, request, reply, onFailure));
    app.get(`/${endpoint}/`, (request, reply) => answer(endpoint, checks, request, reply, onFailure));
    app.get<{ Params: { '*': string } }>(`/${endpoint}/*`, async (request, reply) => {
      const one = checks.find(({ name }) => name === request.params['*']);
      if (!one) return reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n');
      const reason = await run(one);
      void reply.type('text/plain; charset=utf-8');
      return reason === undefined ? reply.send('ok') : reply.code(500).send(`internal server error: ${reason}\n`);
    });
  }
}
