// Where rules of misbehaviour are given: a path that only the holder of a certificate of one authority may use, which counts for nothing
// else on this server, as no other credentials count here; whoever administers the cluster is refused like anybody.
import type { X509Certificate } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { API_FAULT_PATH, parseRule, RuleError } from '#lib/api-fault/rule.ts';
import { badRequest, failure } from '#lib/machinery/status-error.ts';
import { verifyCertificateChain } from '../../access/certificate-authentication.ts';
import type { AuthenticationRequest } from '../../core/access.ts';
import { MAX_RULES, type ApiFaults } from '../../core/faults/api-faults.ts';

export class ApiFaultControl {
  readonly #faults: ApiFaults;
  readonly #authorities: readonly X509Certificate[];
  readonly #nowMs: () => number;

  constructor(faults: ApiFaults, authorities: readonly X509Certificate[], nowMs: () => number) {
    this.#faults = faults;
    this.#authorities = authorities;
    this.#nowMs = nowMs;
  }

  serves(path: string): boolean {
    return path === API_FAULT_PATH || path.startsWith(`${API_FAULT_PATH}/`);
  }

  /** Throws Forbidden. */
  admit({ clientCertificates }: AuthenticationRequest): void {
    const certificate = verifyCertificateChain(clientCertificates(), this.#authorities);
    const nowMs = this.#nowMs();
    if (certificate && certificate.validFromMs <= nowMs && nowMs <= certificate.validToMs) return;
    throw failure(403, 'Forbidden', `forbidden: path "${API_FAULT_PATH}" takes only client certificates of the authority in --emulator-api-fault-client-ca-file`, {});
  }

  register(app: FastifyInstance): void {
    const faults = this.#faults;
    app.get(API_FAULT_PATH, async (_request, reply) => reply.send({ rules: faults.list() }));
    app.delete(API_FAULT_PATH, async (_request, reply) => {
      faults.clear();
      return reply.send({ rules: [] });
    });
    app.put<{ Params: { id: string } }>(`${API_FAULT_PATH}/:id`, async (request, reply) => {
      const rule = asBadRequest(() => parseRule({ ...(JSON.parse(String(request.body)) as object), id: request.params.id }));
      if (!faults.put(rule)) throw badRequest(`there are ${MAX_RULES} rules already`);
      return reply.send({ rules: faults.list().filter((state) => state.rule.id === rule.id) });
    });
    app.delete<{ Params: { id: string } }>(`${API_FAULT_PATH}/:id`, async (request, reply) => {
      faults.remove(request.params.id);
      return reply.send({ rules: faults.list() });
    });
  }
}

function asBadRequest<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof RuleError || error instanceof SyntaxError) throw badRequest(error.message);
    throw error;
  }
}
