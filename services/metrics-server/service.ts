// Wires metrics-server: asks the kubelets at a steady pace, and serves what they said behind the API server.
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { Gauge, Histogram } from 'prom-client';
import { connectToApiserver, TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { Informer } from '#lib/api-client/informer.ts';
import { waitForApiserver } from '#lib/api-client/wait-for-apiserver.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { parseLabelSelector } from '#lib/machinery/selectors.ts';
import { failure, StatusError } from '#lib/machinery/status-error.ts';
import { selfSignedServerCertificate } from '#lib/pki/certificate.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { MetricsStore } from './core/metrics-store.ts';
import type { Named } from './core/objects.ts';
import { pathOf } from './core/request.ts';
import { Access, readAuthenticationSettings, type AuthenticationSettings } from './edge/access.ts';
import { answerApi } from './edge/api.ts';
import { Scraper } from './edge/scraper.ts';
import type { MetricsServerFlags } from './flags.ts';

/** Source: the check of metrics-server's options. Milliseconds. */
const LEAST_RESOLUTION_MS = 10_000;
const SETTINGS_RETRY_MS = 1_000;

export async function startMetricsServer(flags: MetricsServerFlags, environment: Environment, signal: AbortSignal): Promise<void> {
  const { clock, log } = environment;
  const resolutionMs = flags.metricResolutionMs;
  if (resolutionMs < LEAST_RESOLUTION_MS) throw new Error(`metric-resolution should be a time duration at least 10s, but value ${resolutionMs / 1000}s provided`);
  if (flags.kubeletInsecureTls && flags.kubeletCertificateAuthority !== '') throw new Error('cannot use both --kubelet-certificate-authority and --kubelet-insecure-tls');
  if (flags.v >= 4) log.level = 'debug';
  const kubeconfig = await loadKubeconfig(flags.kubeconfig);
  const api = connectToApiserver(kubeconfig, 'metrics-server');
  await waitForApiserver(api, clock, signal);

  // Of nodes and pods only what is told and asked for is kept.
  const nodes = new Informer<Node>({
    ...environment, api, kind: nodeKind, ...(flags.nodeSelector === '' ? {} : { labelSelector: parseLabelSelector(flags.nodeSelector).toString() }),
    transform: ({ metadata: { name, uid, resourceVersion, labels }, status }) => ({
      metadata: { name, uid, resourceVersion, labels }, spec: {},
      status: { addresses: status?.addresses, daemonEndpoints: status?.daemonEndpoints, conditions: status?.conditions?.filter(({ type }) => type === 'Ready') },
    }),
  });
  const pods = new Informer<Pod>({
    ...environment, api, kind: podKind, fieldSelector: 'status.phase=Running',
    transform: ({ metadata: { name, namespace, uid, resourceVersion, labels } }) => ({ metadata: { name, namespace, uid, resourceVersion, labels }, spec: { containers: [] } }),
  });
  const named = ({ metadata: { name, namespace, labels } }: Node | Pod): Named => ({ name, labels, ...(namespace === undefined ? {} : { namespace }) });

  const metrics = newMetrics();
  const store = new MetricsStore(resolutionMs);
  const tickDuration = new Histogram({ name: 'metrics_server_manager_tick_duration_seconds', help: 'The total time spent collecting and storing metrics in seconds.', registers: [metrics] });
  new Gauge({
    name: 'metrics_server_storage_points', help: 'Number of metrics points stored.', labelNames: ['type'], registers: [metrics],
    collect() {
      const { nodes: ofNodes, containers } = store.count();
      this.set({ type: 'node' }, ofNodes);
      this.set({ type: 'container' }, containers);
    },
  });
  const scraper = new Scraper({
    ...environment, metrics, signal, port: flags.kubeletPort, usesNodeStatusPort: flags.kubeletUseNodeStatusPort, addressTypes: flags.kubeletPreferredAddressTypes, timeoutMs: flags.kubeletRequestTimeoutMs,
    tls: {
      isInsecure: flags.kubeletInsecureTls,
      caPem: flags.kubeletCertificateAuthority === '' ? kubeconfig.caPem : await readFile(flags.kubeletCertificateAuthority, 'utf8'),
      certPem: flags.kubeletClientCertificate === '' ? kubeconfig.certPem : await readFile(flags.kubeletClientCertificate, 'utf8'),
      keyPem: flags.kubeletClientKey === '' ? kubeconfig.keyPem : await readFile(flags.kubeletClientKey, 'utf8'),
    },
  });
  let tickStartedMs = clock.nowMs();
  const scrapeForEver = async (): Promise<void> => {
    await Promise.all([nodes.synced(signal), pods.synced(signal)]);
    for (let dueMs = clock.nowMs(); !signal.aborted; dueMs += resolutionMs) {
      tickStartedMs = clock.nowMs();
      store.store(await scraper.scrape(nodes.list()));
      tickDuration.observe((clock.nowMs() - tickStartedMs) / 1000);
      await clock.sleep(Math.max(0, dueMs + resolutionMs - clock.nowMs()), signal);
    }
  };

  const settings = await authenticationSettings(api, environment, signal);
  const access = new Access({ api, clock, settings });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const verdict = await access.check(request);
    if (verdict.status === 200) return answerApi({ store, clock, nodes: () => nodes.list().map(named), pods: () => pods.list().map(named) }, request, response);
    const reason = verdict.status === 401 ? 'Unauthorized' : verdict.status === 403 ? 'Forbidden' : 'InternalError';
    response.writeHead(verdict.status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(failure(verdict.status, reason, verdict.message).status));
  };
  await startHealthServer({
    host: flags.bindAddress, port: flags.securePort, metrics, signal,
    tls: { ...await servingCertificate(flags, clock.nowMs()), clientCaPem: `${settings.clientCaPem}\n${settings.requestHeaderCaPem}` },
    live: [{
      name: 'metric-collection-timely',
      check: () => (clock.nowMs() - tickStartedMs > resolutionMs * 1.1 ? `time since last tick (${(clock.nowMs() - tickStartedMs) / 1000}s) was greater than expected metrics resolution (${(resolutionMs * 1.1) / 1000}s)` : undefined),
    }],
    ready: [
      { name: 'metric-storage-ready', check: () => (store.isReady ? undefined : 'no metrics to serve') },
      { name: 'metric-informer-sync', check: () => (nodes.hasSynced && pods.hasSynced ? undefined : 'not yet synced') },
    ],
    authorize: async (request) => (pathOf(request.url) === '/metrics' ? (await access.check(request)).status : 200), // others are checked where they are answered
    otherwise: answer,
  });
  log.info({ address: flags.bindAddress, port: flags.securePort, resolutionMs }, 'serving');
  await Promise.all([nodes.run(signal), pods.run(signal), scrapeForEver().catch((error: unknown) => {
    if (!signal.aborted) throw error;
  })]);
  await Promise.all([scraper.close(), api.close()]);
}

async function servingCertificate({ tlsCertFile, tlsPrivateKeyFile }: MetricsServerFlags, nowMs: number): Promise<{ cert: string; key: string }> {
  if (tlsCertFile !== '' || tlsPrivateKeyFile !== '') return { cert: await readFile(tlsCertFile, 'utf8'), key: await readFile(tlsPrivateKeyFile, 'utf8') };
  const { certPem, keyPem } = await selfSignedServerCertificate({ commonName: hostname(), dnsNames: [hostname(), 'localhost'], ipAddresses: ['127.0.0.1'], nowMs });
  return { cert: certPem, key: keyPem };
}

/** The API server may be there before its ConfigMap is, and before we may read it. */
async function authenticationSettings(api: ApiClient, { clock, log }: Environment, signal: AbortSignal): Promise<AuthenticationSettings> {
  for (;;) {
    try {
      return await readAuthenticationSettings(api, signal);
    } catch (error) {
      if (signal.aborted || (!(error instanceof StatusError) && !(error instanceof TransportError))) throw error;
      log.warn({ err: error }, 'cannot read how the API server authenticates itself, trying again');
    }
    await clock.sleep(SETTINGS_RETRY_MS, signal);
  }
}
