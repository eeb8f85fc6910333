// Deletes finished Jobs when their ttlSecondsAfterFinished have passed. Source: pkg/controller/ttlafterfinished.
import { defineController, done, retryAfterMs, type Controller } from '#lib/controller/define-controller.ts';
import { jobKind } from '#lib/kinds/batch/job.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { leftMs } from './plan.ts';

export const ttlAfterFinishedController = (workers: number): Controller => defineController({
  name: 'ttl-after-finished-controller',
  queueName: 'ttl_jobs_to_delete',
  reconciles: jobKind,
  isRelevantUpdate: (next) => leftMs(next, 0) !== undefined,
  workers,
  async reconcile({ namespace, name }, { cache, api, clock }) {
    const job = cache.get(jobKind, namespace, name);
    const waitMs = job && leftMs(job, clock.nowMs());
    if (!job || waitMs === undefined) return done;
    if (waitMs > 0) return retryAfterMs(waitMs);
    // The cache may be old: the Job may have been given more time, or be another one by now.
    try {
      const live = await api.getLive(jobKind, namespace, name);
      const stillMs = leftMs(live, clock.nowMs());
      if (stillMs === undefined || live.metadata.uid !== job.metadata.uid) return done;
      if (stillMs > 0) return retryAfterMs(stillMs);
      const { resourceVersion } = live.metadata;
      await api.delete(jobKind, live, { propagationPolicy: 'Foreground', preconditions: { resourceVersion } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return done;
  },
});
