// One request to the API server of this master, with the credential for its rules of misbehaviour.
import { existsSync } from 'node:fs';
import { request } from 'node:https';
import { text } from 'node:stream/consumers';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { API_FAULT_KUBECONFIG, type ControlAnswer } from '../api-fault/control-answer.ts';

/** Milliseconds. A server that is frozen takes connections and says nothing. */
const ANSWER_DEADLINE_MS = 5_000;

export async function askForRules(method: string, path: string, body: string): Promise<ControlAnswer> {
  if (!existsSync(API_FAULT_KUBECONFIG)) return { outcome: 'disabled' };
  const { server, caPem, certPem, keyPem } = await loadKubeconfig(API_FAULT_KUBECONFIG);
  return new Promise((resolve) => {
    const asking = request(new URL(path, server), { method, ca: caPem, cert: certPem, key: keyPem, headers: body === '' ? {} : { 'content-type': 'application/json' } }, (response) => {
      text(response).then((answer) => resolve({ outcome: 'answer', code: response.statusCode ?? 0, body: answer }), (error: Error) => resolve({ outcome: 'silent', problem: error.message }));
    });
    asking.setTimeout(ANSWER_DEADLINE_MS, () => asking.destroy(new Error(`no answer within ${ANSWER_DEADLINE_MS / 1000} s`)));
    asking.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED' ? { outcome: 'down' } : { outcome: 'silent', problem: error.message }));
    asking.end(body);
  });
}
