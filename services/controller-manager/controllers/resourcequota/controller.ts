// Counts what each ResourceQuota's namespace uses. The API server adds to the count as it admits objects; this controller
// starts it, takes off what is gone, and counts anew every few minutes.
import { objectPath } from '#lib/api-client/client.ts';
import { keyOf } from '#lib/api-client/informer.ts';
import { defineController, done, mapped, retryAfterMs, type Controller, type EventSource, type ReconcileContext } from '#lib/controller/define-controller.ts';
import type { CacheReader } from '#lib/controller/shared-cache.ts';
import { daemonSetKind } from '#lib/kinds/apps/daemon-set.ts';
import { deploymentKind } from '#lib/kinds/apps/deployment.ts';
import { replicaSetKind } from '#lib/kinds/apps/replica-set.ts';
import { statefulSetKind } from '#lib/kinds/apps/stateful-set.ts';
import { cronJobKind } from '#lib/kinds/batch/cron-job.ts';
import { jobKind } from '#lib/kinds/batch/job.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { persistentVolumeClaimKind } from '#lib/kinds/core/persistent-volume-claim.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { replicationControllerKind } from '#lib/kinds/core/replication-controller.ts';
import { resourceQuotaKind } from '#lib/kinds/core/resource-quota.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { anyKind, type AnyKind, type Kind, type KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { isCountedPod, type QuotaResource } from '#lib/quota/usage.ts';
import { discover } from '../../edge/discovery.ts';
import { quotaStatus, resourcesOf } from './plan.ts';

/** Several events become one count. */
const BATCH_MS = 100;
/**
 * Between reading a quota and counting: what was charged to it until then has been stored and seen since, and what is
 * charged later makes the write a conflict. Without it a count could take back what an object on its way was charged.
 */
const SETTLE_MS = 100;
/** Kinds that nobody here watches are counted anew so often. */
const UNWATCHED_PERIOD_MS = 30_000;

const quotasOf = ({ metadata }: Readonly<KubernetesObject>, cache: CacheReader): string[] => cache.list(resourceQuotaKind, metadata.namespace).map(keyOf);

/** A kind that other controllers watch anyway; new objects were counted when they were admitted, updates change nothing that is counted, unless the rule says so. */
function counted<T extends KubernetesObject>(kind: Kind<T>, isRelevantUpdate: (next: T, previous: T) => boolean = () => false): EventSource {
  return mapped(kind, quotasOf, { isRelevantUpdate, ignoresNew: true, delayMs: BATCH_MS });
}

const WATCHED: readonly AnyKind[] = [
  anyKind(podKind), anyKind(serviceKind), anyKind(persistentVolumeClaimKind), anyKind(configMapKind), anyKind(replicationControllerKind), anyKind(resourceQuotaKind),
  anyKind(deploymentKind), anyKind(replicaSetKind), anyKind(daemonSetKind), anyKind(statefulSetKind), anyKind(jobKind), anyKind(cronJobKind),
];

/** A pod counts less when it ends, and differently when it is resized. */
const isPodChange = (next: Pod, previous: Pod): boolean =>
  isCountedPod(next, 0) !== isCountedPod(previous, 0) || next.metadata.deletionTimestamp !== previous.metadata.deletionTimestamp || !semanticEqual(next.spec.containers.map(({ resources }) => resources), previous.spec.containers.map(({ resources }) => resources));

export const resourceQuotaController = (workers: number, periodMs: number): Controller => defineController({
  name: 'resourcequota-controller',
  queueName: 'resource_quota_controller_resource_changes',
  reconciles: resourceQuotaKind,
  // What this controller or the API server wrote into the status is no reason to count again.
  isRelevantUpdate: (next, previous) => !semanticEqual(next.spec, previous.spec) || !semanticEqual(next.spec?.hard, next.status?.hard),
  alsoWatches: [
    counted(podKind, isPodChange),
    counted(serviceKind, (next, previous) => !semanticEqual(next.spec?.ports, previous.spec?.ports) || next.spec?.type !== previous.spec?.type),
    counted(persistentVolumeClaimKind, (next, previous) => !semanticEqual(next.spec, previous.spec) || !semanticEqual(next.status, previous.status)),
    counted(configMapKind), counted(replicationControllerKind), counted(deploymentKind), counted(replicaSetKind), counted(daemonSetKind), counted(statefulSetKind), counted(jobKind), counted(cronJobKind),
  ],
  workers,
  async reconcile({ namespace, name }, context) {
    const { cache, api, clock } = context;
    const quota = cache.get(resourceQuotaKind, namespace, name);
    if (!quota || quota.metadata.deletionTimestamp !== undefined) return done;
    await clock.sleep(SETTLE_MS);
    const objects = new Map<QuotaResource, readonly Readonly<KubernetesObject>[]>();
    let isAllWatched = true;
    for (const resource of resourcesOf(quota)) {
      const kind = WATCHED.find(({ group, plural }) => group === resource.group && plural === resource.plural);
      if (!kind) isAllWatched = false;
      objects.set(resource, kind ? cache.list(kind, namespace) : await listLive(resource, namespace, context));
    }
    const status = quotaStatus(quota, objects, clock.nowMs());
    if (!semanticEqual(status, quota.status)) {
      await api.updateStatus(resourceQuotaKind, { ...quota, status }).catch((error: unknown) => {
        if (!isNotFound(error)) throw error; // deleted meanwhile
      });
    }
    return retryAfterMs(isAllWatched ? periodMs : Math.min(periodMs, UNWATCHED_PERIOD_MS));
  },
});

/** The objects of a kind without a cache; none when it is not served. */
async function listLive(resource: QuotaResource, namespace: string, { api }: ReconcileContext): Promise<readonly KubernetesObject[]> {
  const kind = await kindOf(resource, api);
  if (!kind?.namespaced) return [];
  const { items } = await api.request<{ items?: KubernetesObject[] | null }>('GET', objectPath(kind, namespace));
  return items ?? [];
}

async function kindOf({ group, plural }: QuotaResource, api: ReconcileContext['api']): Promise<AnyKind | undefined> {
  if (group === '' && plural === 'secrets') return SECRETS;
  const { kinds } = await discover((method, path) => api.request(method, path));
  return kinds.find((kind) => kind.group === group && kind.plural === plural);
}

/** Too many and too large to be watched for the few quotas that count them. */
const SECRETS = { group: '', version: 'v1', plural: 'secrets', namespaced: true } as AnyKind;
