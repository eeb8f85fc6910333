// Asks the other processes of the control plane how they are, for `kubectl get componentstatuses`.
// Source: pkg/registry/core/componentstatus, pkg/registry/core/rest/storage_core.go.
import { get } from 'node:https';
import { withDeadline } from '#lib/service/abort.ts';
import { componentStatusKind } from '#lib/kinds/core/component-status.ts';
import type { ComponentCondition, ComponentStatus } from '#lib/kinds/types/core-v1.ts';
import type { ApiserverExtension } from './extension.ts';

/** Source: pkg/registry/core/componentstatus/validator.go, probeTimeOut. */
const TIMEOUT_MS = 20_000;
/** Beside this server, as kubeadm runs them. */
const COMPONENTS = { scheduler: 10_259, 'controller-manager': 10_257 } as const;

async function askHealthz(port: number, signal: AbortSignal): Promise<ComponentCondition> {
  const url = `https://127.0.0.1:${port}/healthz`;
  try {
    const answer = await withDeadline(TIMEOUT_MS, signal, (limited) => new Promise<{ code: number; text: string }>((resolve, reject) => {
      const request = get(url, { rejectUnauthorized: false, agent: false, signal: limited }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text = (text + chunk).slice(0, 1024))).on('end', () => resolve({ code: response.statusCode ?? 0, text })).on('error', reject);
      });
      request.on('error', reject);
    }));
    return answer.code === 200 ? { type: 'Healthy', status: 'True', message: answer.text } : { type: 'Healthy', status: 'False', message: answer.text, error: '' };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'ECONNREFUSED' ? `dial tcp 127.0.0.1:${port}: connect: connection refused` : message;
    return { type: 'Healthy', status: 'False', message: `Get "${url}": ${why}` };
  }
}

/** `checkEtcd` rejects when etcd does not answer. */
export function componentStatusExtension(checkEtcd: () => Promise<unknown>): ApiserverExtension {
  const status = async (name: string, condition: Promise<ComponentCondition>): Promise<ComponentStatus> =>
    ({ kind: 'ComponentStatus', apiVersion: 'v1', metadata: { name }, conditions: [await condition] });
  const etcd = (): Promise<ComponentCondition> => checkEtcd().then(() => ({ type: 'Healthy', status: 'True', message: 'ok' }),
    (error: unknown) => ({ type: 'Healthy', status: 'False', message: error instanceof Error ? error.message : String(error) }));
  return {
    virtualKinds: [{
      group: componentStatusKind.group, resource: componentStatusKind.plural,
      list: (signal) => Promise.all([...Object.entries(COMPONENTS).map(([name, port]) => status(name, askHealthz(port, signal))), status('etcd-0', etcd())]),
    }],
  };
}
