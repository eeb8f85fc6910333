// kube-proxy's metrics, under upstream's names. Source: kubernetes pkg/proxy/metrics.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const SYNC_BUCKETS = Array.from({ length: 15 }, (_, power) => 0.001 * 2 ** power);
const family = { ip_family: 'IPv4' };

export class ProxyMetrics {
  readonly #syncs: Readonly<Record<'all' | 'full' | 'partial', Histogram>>;
  readonly #lastSync: Gauge;
  readonly #lastQueued: Gauge;
  readonly #failures: Counter;
  readonly #cleanupFailures: Counter;
  readonly #deletedFlows: Counter;
  readonly #programming: Histogram;
  readonly serviceChanges: Counter;
  readonly endpointChanges: Counter;
  readonly healthz: Counter;
  readonly livez: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    const duration = (name: string, help: string): Histogram => new Histogram({ name, help, labelNames: ['ip_family'], buckets: SYNC_BUCKETS, registers });
    this.#syncs = {
      all: duration('kubeproxy_sync_proxy_rules_duration_seconds', 'SyncProxyRules latency in seconds'),
      full: duration('kubeproxy_sync_full_proxy_rules_duration_seconds', 'SyncProxyRules latency in seconds for full resyncs'),
      partial: duration('kubeproxy_sync_partial_proxy_rules_duration_seconds', 'SyncProxyRules latency in seconds for partial resyncs'),
    };
    this.#programming = new Histogram({
      name: 'kubeproxy_network_programming_duration_seconds', help: 'In Cluster Network Programming Latency in seconds', labelNames: ['ip_family'],
      buckets: [0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120, 300], registers,
    });
    this.#lastSync = new Gauge({ name: 'kubeproxy_sync_proxy_rules_last_timestamp_seconds', help: 'The last time proxy rules were successfully synced', labelNames: ['ip_family'], registers });
    this.#lastQueued = new Gauge({ name: 'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds', help: 'The last time a sync of proxy rules was queued', labelNames: ['ip_family'], registers });
    this.#failures = new Counter({ name: 'kubeproxy_sync_proxy_rules_nftables_sync_failures_total', help: 'Cumulative proxy nftables sync failures', labelNames: ['ip_family'], registers });
    this.#cleanupFailures = new Counter({ name: 'kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total', help: 'Cumulative proxy nftables cleanup failures', labelNames: ['ip_family'], registers });
    this.#deletedFlows = new Counter({ name: 'kubeproxy_conntrack_reconciler_deleted_entries_total', help: 'Cumulative conntrack flows deleted by the reconciler', labelNames: ['ip_family'], registers });
    this.serviceChanges = new Counter({ name: 'kubeproxy_sync_proxy_rules_service_changes_total', help: 'Cumulative proxy rules Service changes', registers });
    this.endpointChanges = new Counter({ name: 'kubeproxy_sync_proxy_rules_endpoint_changes_total', help: 'Cumulative proxy rules Endpoint changes', registers });
    this.healthz = new Counter({ name: 'kubeproxy_proxy_healthz_total', help: 'Cumulative proxy healthz HTTP status', labelNames: ['code'], registers });
    this.livez = new Counter({ name: 'kubeproxy_proxy_livez_total', help: 'Cumulative proxy livez HTTP status', labelNames: ['code'], registers });
  }

  queued(nowMs: number): void {
    this.#lastQueued.set(family, nowMs / 1000);
  }

  synced(kind: 'full' | 'partial' | 'none', seconds: number, nowMs: number): void {
    this.#syncs.all.observe(family, seconds);
    if (kind !== 'none') this.#syncs[kind].observe(family, seconds);
    this.#lastSync.set(family, nowMs / 1000);
  }

  programmed(seconds: number): void {
    this.#programming.observe(family, seconds);
  }

  failed(stage: 'sync' | 'cleanup'): void {
    (stage === 'sync' ? this.#failures : this.#cleanupFailures).inc(family);
  }

  deletedFlows(count: number): void {
    this.#deletedFlows.inc(family, count);
  }
}
