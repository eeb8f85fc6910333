// What a run keeps in the cluster while it is being broken: something of each thing that has to come back.
import type { ApiClient, NewObject } from '#lib/api-client/client.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { PodSpec } from '#lib/kinds/types/core-v1.ts';
import { networkPolicyKind } from '#lib/kinds/networking/network-policy.ts';
import { isAlreadyExists } from '#lib/machinery/status-error.ts';

export const NAMESPACE = 'kubreak-chaos';
/** A web server behind a cluster address and one on the hosts' network. */
export const PROBE = 'chaos-probe';
export const PROBE_REPLICAS = 3;
/** Pods with a volume each, which only the probe's pods may reach. */
export const STORE = 'chaos-store';
export const STORE_REPLICAS = 2;
export const STORE_PORT = 8080;
/** Nothing that is written to a volume may be lost: each start of a store adds a line. */
export const STORE_FILE = 'starts';
/** On each host: where those who ask the probe write down the answers. */
export const CLIENTS_FOLDER = '/var/lib/kubreak-chaos';

const metadata = (name: string) => ({ name, namespace: NAMESPACE });
const labelled = (app: string, spec: PodSpec) => ({ selector: { matchLabels: { app } }, template: { metadata: { labels: { app } }, spec: { terminationGracePeriodSeconds: 2, ...spec } } });

async function make<T extends KubernetesObject>(api: ApiClient, kind: Kind<T>, object: NewObject<T>): Promise<void> {
  await api.create(kind, object).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  });
}

export async function makeWorkloads(api: ApiClient): Promise<void> {
  await make(api, namespaceKind, { metadata: { name: NAMESPACE }, spec: {} });
  await Promise.all([
    make(api, deploymentKind, { metadata: metadata(PROBE), spec: { replicas: PROBE_REPLICAS, ...labelled(PROBE, { containers: [{ name: 'web', image: 'nginx', ports: [{ containerPort: 80 }] }] }) } }),
    make(api, serviceKind, { metadata: metadata(PROBE), spec: { type: 'LoadBalancer', selector: { app: PROBE }, ports: [{ port: 80 }] } }),
    make(api, statefulSetKind, {
      metadata: metadata(STORE),
      spec: {
        serviceName: STORE, replicas: STORE_REPLICAS, podManagementPolicy: 'Parallel',
        ...labelled(STORE, {
          containers: [{
            name: 'store', image: 'busybox', command: ['sh', '-c', `echo $(hostname) >> /data/${STORE_FILE}; exec httpd -f -p ${STORE_PORT} -h /data`],
            ports: [{ containerPort: STORE_PORT }], volumeMounts: [{ name: 'data', mountPath: '/data' }],
          }],
        }),
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } } }],
      },
    }),
    make(api, serviceKind, { metadata: metadata(STORE), spec: { clusterIP: 'None', selector: { app: STORE }, ports: [{ port: STORE_PORT }] } }),
    make(api, networkPolicyKind, {
      metadata: metadata(STORE),
      spec: { podSelector: { matchLabels: { app: STORE } }, policyTypes: ['Ingress'], ingress: [{ from: [{ podSelector: { matchLabels: { app: PROBE } } }] }] },
    }),
  ]);
}
