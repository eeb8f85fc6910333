// The API server's metrics under upstream's names and labels.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const REQUEST_SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];
const ETCD_SECONDS = [0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60];

const REQUEST_LABELS = ['verb', 'group', 'version', 'resource', 'subresource', 'scope', 'component'] as const;

/** `countObjects` is asked whenever somebody reads the metrics. */
export function apiserverMetrics(registry: Registry, countObjects: () => Iterable<{ readonly resource: string; readonly count: number }>) {
  const registers = [registry];
  return {
    requestTotal: new Counter({
      name: 'apiserver_request_total', help: 'Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.',
      labelNames: [...REQUEST_LABELS, 'dry_run', 'code'], registers,
    }),
    requestDuration: new Histogram({
      name: 'apiserver_request_duration_seconds', help: 'Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.',
      labelNames: [...REQUEST_LABELS, 'dry_run'], buckets: REQUEST_SECONDS, registers,
    }),
    longRunning: new Gauge({
      name: 'apiserver_longrunning_requests', help: 'Gauge of all active long-running apiserver requests broken out by verb, group, version, resource, scope and component.',
      labelNames: REQUEST_LABELS, registers,
    }),
    inflight: new Gauge({
      name: 'apiserver_current_inflight_requests', help: 'Maximal number of currently used inflight request limit of this apiserver per request kind in last second.',
      labelNames: ['request_kind'], registers,
    }),
    etcdDuration: new Histogram({
      name: 'etcd_request_duration_seconds', help: 'Etcd request latency in seconds for each operation and object type.',
      labelNames: ['operation', 'group', 'resource'], buckets: ETCD_SECONDS, registers,
    }),
    etcdTotal: new Counter({ name: 'etcd_requests_total', help: 'Etcd request counts for each operation and object type.', labelNames: ['operation', 'group', 'resource'], registers }),
    etcdErrors: new Counter({ name: 'etcd_request_errors_total', help: 'Etcd failed request counts for each operation and object type.', labelNames: ['operation', 'group', 'resource'], registers }),
    storageObjects: new Gauge({
      name: 'apiserver_storage_objects', help: 'Number of stored objects at the time of last check split by kind.', labelNames: ['resource'], registers,
      collect() {
        for (const { resource, count } of countObjects()) this.set({ resource }, count);
      },
    }),
    registeredWatchers: new Gauge({
      name: 'apiserver_registered_watchers', help: 'Number of currently registered watchers for a given resource', labelNames: ['group', 'version', 'kind'], registers,
    }),
    terminatedWatchers: new Counter({
      name: 'apiserver_terminated_watchers_total', help: 'Counter of watchers closed due to unresponsiveness broken by resource type.', labelNames: ['resource'], registers,
    }),
    watchCacheCapacity: new Gauge({ name: 'watch_cache_capacity', help: 'Total capacity of watch cache broken by resource type.', labelNames: ['resource'], registers }),
  };
}

export type ApiserverMetrics = ReturnType<typeof apiserverMetrics>;
