// Wires the proxy: Services, EndpointSlices and the Node feed the table of services; whenever it changes, the kernel's
// nft table is brought up to it in one transaction. The table stays when the proxy ends.
import { readFile } from 'node:fs/promises';
import { hostname, networkInterfaces } from 'node:os';
import { trace } from '@opentelemetry/api';
import { connectToApiserver } from '#lib/api-client/client.ts';
import { Informer } from '#lib/api-client/informer.ts';
import { steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import type { Node, Service } from '#lib/kinds/types/core-v1.ts';
import type { EndpointSlice } from '#lib/kinds/types/discovery-v1.ts';
import { cidrContains, parseIpv4, parseIpv4Cidr } from '#lib/machinery/ipv4.ts';
import { loadInClusterConfig, loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { aborted } from '#lib/service/abort.ts';
import { DemandLoop } from '#lib/service/demand-loop.ts';
import type { Flags } from '#lib/service/flags.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { noteSpan } from '#lib/tracing/in-span.ts';
import { wallClock } from '#lib/tracing/wall-clock.ts';
import { nodePortIps, readConfiguration, type ProxyConfiguration } from './core/configuration.ts';
import { parseUdpFlows, staleUdpFlows } from './core/conntrack.ts';
import { ServiceTable } from './core/service-table.ts';
import { tableFrame, type Frame } from './core/table-frame.ts';
import { ServiceHealthServers, serveProxyHealth } from './edge/health-servers.ts';
import { setConntrackLimits } from './edge/kernel-parameters.ts';
import { ProxyMetrics } from './edge/metrics.ts';
import { deleteTable, deleteUdpFlow, listUdpFlows, shortHash } from './edge/nft.ts';
import { CommandError } from '#lib/service/run-command.ts';
import { TableWriter } from './edge/table-writer.ts';
import type { kubeProxyFlags } from './flags.ts';

const LAST_CHANGE_ANNOTATION = 'endpoints.kubernetes.io/last-change-trigger-time';
/** An autoscaler puts it on a node that is about to go: load balancers should look elsewhere. */
const DELETION_TAINT = 'ToBeDeletedByClusterAutoscaler';
const ZONE_LABEL = 'topology.kubernetes.io/zone';
/** Triggers whose latency is still to be measured; more are not counted. */
const PENDING_TRIGGERS_LIMIT = 10_000;
/** Changed objects that the trace of one sync names. */
const TOLD_LIMIT = 50;
const tracer = trace.getTracer('k8s.io/kubernetes/pkg/proxy');

export async function startKubeProxy(
  flags: Flags<typeof kubeProxyFlags>, variables: Readonly<Record<string, string | undefined>>, { clock, random, log }: Environment, signal: AbortSignal,
): Promise<void> {
  if (flags.cleanup) return deleteTable();
  const configuration = await loadConfiguration(flags);
  const node = (flags.hostnameOverride || configuration.hostnameOverride || hostname()).trim().toLowerCase();
  const access = configuration.kubeconfig === '' ? await loadInClusterConfig(variables) : await loadKubeconfig(configuration.kubeconfig);
  const api = connectToApiserver(access, 'kube-proxy');
  const steady = steadily(clock);
  const registry = newMetrics();
  const metrics = new ProxyMetrics(registry);

  const services = new Informer<Service>({ api, kind: serviceKind, labelSelector: '!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name', transform: leanService, clock, random, log });
  const slices = new Informer<EndpointSlice>({ api, kind: endpointSliceKind, labelSelector: '!service.kubernetes.io/headless,!service.kubernetes.io/service-proxy-name', transform: leanSlice, clock, random, log });
  const nodes = new Informer<Node>({ api, kind: nodeKind, fieldSelector: `metadata.name=${node}`, transform: leanNode, clock, random, log });

  const masqueradeMark = `0x${(2 ** configuration.masqueradeBit).toString(16)}`;
  const { clusterCidr, masqueradeAll } = configuration;
  if (clusterCidr === undefined) log.warn('no clusterCIDR: traffic of pods cannot be told from that of others');
  let nodeIps: readonly string[] = [];
  const table = new ServiceTable({ place: { node, zone: undefined }, clusterCidr, masqueradeMark, nodeIps, shortHash });
  const frameNow = (): Frame => tableFrame({ clusterCidr, masqueradeAll, masqueradeMark, nodePortIps: nodePortIps(configuration, nodeIps, localAddresses) });
  let frame = frameNow();
  const writer = new TableWriter({ clock: steady, log, onFailure: (stage) => metrics.failed(stage) });
  let lastSyncMs = clock.nowMs();
  let pendingTriggersMs: number[] = [];
  const hasSynced = (): boolean => services.hasSynced && slices.hasSynced && nodes.hasSynced;

  const isHealthy = (): boolean => loop.pendingSinceMs === undefined || steady.nowMs() - loop.pendingSinceMs < 2 * configuration.syncPeriodMs;
  const healthServers = new ServiceHealthServers({ isProxyHealthy: isHealthy, log });

  const sync = async (): Promise<void> => {
    if (!hasSynced()) return;
    const startedMs = steady.nowMs();
    const startTime = wallClock.nowMs();
    const changed = [...changedObjects];
    changedObjects.clear();
    const triggers = pendingTriggersMs;
    pendingTriggersMs = [];
    if (startedMs - lastCheckMs >= configuration.syncPeriodMs) {
      await writer.check();
      lastCheckMs = startedMs;
    }
    const result = await writer.sync(table.content(), frame);
    lastSyncMs = clock.nowMs();
    metrics.synced(result.kind, (steady.nowMs() - startedMs) / 1000, lastSyncMs);
    for (const triggerMs of triggers) metrics.programmed(Math.max(0, lastSyncMs - triggerMs) / 1000);
    if (result.kind !== 'none') noteSpan(tracer, 'syncProxyRules', { startTime, attributes: { [attribute.nodeName]: node, [attribute.what]: `${result.kind} sync of ${table.serviceCount} services`, [attribute.objectsRead]: changed } });
    if (result.kind !== 'none') log.debug({ kind: result.kind, services: table.serviceCount, milliseconds: steady.nowMs() - startedMs }, 'wrote the table of services');
    if (result.cleanupAfterMs !== undefined) cleanupTimer ??= setTimeout(() => {
      cleanupTimer = undefined;
      loop.request();
    }, result.cleanupAfterMs + 10);
    healthServers.sync(table.localHealth());
    if (table.takeUdpChanges() || result.kind === 'full') await endStaleFlows();
  };
  /** For traces: `uid@resourceVersion` of what changed since the last sync. */
  const changedObjects = new Set<string>();
  const changedObject = ({ metadata: { uid = '', resourceVersion = '' } }: Service | EndpointSlice): void => {
    if (changedObjects.size < TOLD_LIMIT) changedObjects.add(`${uid}@${resourceVersion}`);
  };
  let lastCheckMs = -Infinity;
  let cleanupTimer: NodeJS.Timeout | undefined;
  let hasConntrackTool = true;

  const endStaleFlows = async (): Promise<void> => {
    if (!hasConntrackTool) return;
    try {
      const stale = staleUdpFlows(parseUdpFlows(await listUdpFlows()), table.udpFrontends(), nodeIps);
      for (const flow of stale) await deleteUdpFlow(flow);
      if (stale.length > 0) {
        metrics.deletedFlows(stale.length);
        log.info({ flows: stale.length }, 'ended UDP flows that led past their service');
      }
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (error.exitCode === undefined) hasConntrackTool = false;
      log.warn({ err: error }, 'cannot look after tracked UDP flows');
    }
  };

  const loop = new DemandLoop({
    work: sync, clock, minIntervalMs: configuration.minSyncPeriodMs, retryMs: configuration.syncPeriodMs, periodMs: configuration.syncPeriodMs,
    onError: (error) => log.error({ err: error }, 'cannot write the table of services'),
  });
  const request = (): void => {
    if (!hasSynced()) return;
    metrics.queued(clock.nowMs());
    loop.request();
  };

  const onService = (service: Service): void => {
    changedObject(service);
    table.setService(service);
    metrics.serviceChanges.inc();
    request();
  };
  services.addHandler({ added: onService, updated: onService, deleted: ({ metadata: { namespace, name } }) => {
    table.deleteService(`${namespace ?? ''}/${name}`);
    metrics.serviceChanges.inc();
    request();
  } });
  const onSlice = (slice: EndpointSlice): void => {
    changedObject(slice);
    table.setSlice(slice);
    metrics.endpointChanges.inc();
    const triggerMs = Date.parse(slice.metadata.annotations?.[LAST_CHANGE_ANNOTATION] ?? '');
    if (slices.hasSynced && !Number.isNaN(triggerMs) && pendingTriggersMs.length < PENDING_TRIGGERS_LIMIT) pendingTriggersMs.push(triggerMs);
    request();
  };
  slices.addHandler({ added: onSlice, updated: onSlice, deleted: (slice) => {
    changedObject(slice);
    table.deleteSlice(slice);
    metrics.endpointChanges.inc();
    request();
  } });
  const onNode = ({ metadata, status }: Node): void => {
    nodeIps = (status?.addresses ?? []).flatMap(({ type, address }) => (type === 'InternalIP' && parseIpv4(address) !== undefined ? [address] : []));
    if (!table.setPlace({ node, zone: metadata.labels?.[ZONE_LABEL] }, nodeIps)) return;
    frame = frameNow();
    request();
  };
  nodes.addHandler({ added: onNode, updated: onNode });

  const isNodeEligible = (): boolean => {
    const own = nodes.get(undefined, node);
    return own !== undefined && own.metadata.deletionTimestamp === undefined && !(own.spec?.taints ?? []).some(({ key }) => key === DELETION_TAINT);
  };
  const servers = [
    configuration.healthz && serveProxyHealth(configuration.healthz, {
      health: () => ({ lastUpdatedMs: lastSyncMs, isHealthy: isHealthy(), isNodeEligible: isNodeEligible() }), clock, signal,
      counters: { healthz: (code) => metrics.healthz.inc({ code: String(code) }), livez: (code) => metrics.livez.inc({ code: String(code) }) },
    }),
    configuration.metrics && startHealthServer({
      ...configuration.metrics, metrics: registry, signal,
      ready: [{ name: 'informer-sync', check: () => (hasSynced() ? undefined : 'not synced with the API server yet') }],
      routes: { '/proxyMode': (_, response) => void response.writeHead(200, { 'content-type': 'text/plain' }).end('nftables') },
    }),
  ];
  log.info({ node, mode: 'nftables', clusterCidr }, 'starting');
  await Promise.all([
    ...servers,
    setConntrackLimits(configuration.conntrack, log),
    Promise.all([services, slices, nodes].map((informer) => informer.synced(signal))).then(request, () => undefined),
    services.run(signal), slices.run(signal), nodes.run(signal), loop.run(signal),
    aborted(signal).then(() => {
      clearTimeout(cleanupTimer);
      healthServers.close();
    }),
  ]);
  await api.close();
}

async function loadConfiguration(flags: Flags<typeof kubeProxyFlags>): Promise<ProxyConfiguration> {
  if (flags.config !== '') {
    const { parse } = await import('yaml');
    return readConfiguration(parse(await readFile(flags.config, 'utf8')));
  }
  return readConfiguration({
    kind: 'KubeProxyConfiguration', mode: flags.proxyMode, clusterCIDR: flags.clusterCidr, clientConnection: { kubeconfig: flags.kubeconfig },
    healthzBindAddress: flags.healthzBindAddress, metricsBindAddress: flags.metricsBindAddress,
  });
}

/** Addresses of this host inside of `cidr`, never loopback ones. */
function localAddresses(cidr: string): string[] {
  const network = parseIpv4Cidr(cidr);
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).flatMap(({ family, address, internal }) => {
    const value = family === 'IPv4' && !internal ? parseIpv4(address) : undefined;
    return network && value !== undefined && cidrContains(network, value) ? [address] : [];
  }));
}

/** Drops what routing does not need; a cluster has many of these. */
const leanService = ({ metadata: { name, namespace, uid, resourceVersion }, spec, status }: Service): Service => ({ metadata: { name, namespace, uid, resourceVersion }, spec, status });
function leanSlice(slice: EndpointSlice): EndpointSlice {
  const { name, namespace, uid, resourceVersion, labels, annotations } = slice.metadata;
  const trigger = annotations?.[LAST_CHANGE_ANNOTATION];
  return { ...slice, metadata: { name, namespace, uid, resourceVersion, labels, ...(trigger === undefined ? {} : { annotations: { [LAST_CHANGE_ANNOTATION]: trigger } }) } };
}
const leanNode = ({ metadata: { name, uid, resourceVersion, labels, deletionTimestamp }, spec, status }: Node): Node =>
  ({ metadata: { name, uid, resourceVersion, labels, deletionTimestamp }, spec: { taints: spec?.taints }, status: { addresses: status?.addresses } });
