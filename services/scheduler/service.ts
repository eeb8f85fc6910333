// Wires kube-scheduler: server, leader election, watches, loop.
import { hostname } from 'node:os';
import { randomUUID } from 'node:crypto';
import { connectToApiserver } from '#lib/api-client/client.ts';
import { delegatedAccess } from '#lib/api-client/delegated-access.ts';
import { runAsLeader } from '#lib/api-client/leader-election.ts';
import { SeriesRecorder } from '#lib/api-client/series-recorder.ts';
import { waitForApiserver } from '#lib/api-client/wait-for-apiserver.ts';
import type { Clock } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { selfSignedServerCertificate } from '#lib/pki/certificate.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import type { Flags } from '#lib/service/flags.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { ClusterState } from './core/cluster-state.ts';
import { defaultPlugins } from './core/plugins/registry.ts';
import { SchedulingQueue } from './core/scheduling-queue.ts';
import { watchCluster } from './edge/cluster-watch.ts';
import { loadConfiguration } from './edge/configuration.ts';
import { schedulerMetrics } from './edge/metrics.ts';
import { ScheduleLoop } from './edge/schedule-loop.ts';
import type { schedulerFlags } from './flags.ts';

export async function startScheduler(flags: Flags<typeof schedulerFlags>, environment: Environment, signal: AbortSignal): Promise<void> {
  const { clock, random, log } = environment;
  const { kubeconfig, schedulerName, backoffFirstMs, backoffLongestMs, leaderElection } = await loadConfiguration(flags);
  const api = connectToApiserver(await loadKubeconfig(kubeconfig), 'kube-scheduler');
  const state = new ClusterState();
  const queue = new SchedulingQueue({
    retryOn: new Map(defaultPlugins.map(({ name, retryOn }) => [name, retryOn])), backoffFirstMs, backoffLongestMs, unschedulableLongestMs: flags.podMaxInUnschedulablePodsDurationMs,
  });
  const registry = newMetrics();
  const metrics = schedulerMetrics(registry, queue);
  const watch = watchCluster({ api, environment, state, queue, schedulerName, wake: () => loop.wake() });
  const events = new SeriesRecorder({ api, controller: schedulerName, instance: `${schedulerName}-${hostname()}`, clock, log, signal });
  const loop: ScheduleLoop = new ScheduleLoop({ api, environment, state, queue, watch, plugins: defaultPlugins, events, metrics, schedulerName });
  if (flags.securePort > 0) {
    const { certPem, keyPem } = await selfSignedServerCertificate({ commonName: hostname(), dnsNames: [hostname(), 'localhost'], ipAddresses: ['127.0.0.1'], nowMs: clock.nowMs() });
    await startHealthServer({
      host: flags.bindAddress, port: flags.securePort, tls: { cert: certPem, key: keyPem }, metrics: registry, signal,
      ...(flags.authenticationKubeconfig === '' ? {} : { authorize: delegatedAccess(api, clock) }),
      ready: [{ name: 'sched-handler-sync', check: () => (watch.hasSynced() ? undefined : 'waiting for the first lists') }],
    });
  }
  await waitForApiserver(api, clock, signal);
  const sweeping = sweepEvents(events, clock, signal);
  const watching = watch.run(signal); // also before being elected, so that a takeover is quick
  const lead = async (leading: AbortSignal): Promise<void> => {
    await watch.synced(leading);
    await loop.run(leading);
  };
  if (leaderElection.isOn) {
    await runAsLeader({
      api, namespace: leaderElection.namespace, name: leaderElection.name, identity: `${hostname()}_${randomUUID()}`,
      leaseDurationMs: leaderElection.leaseDurationMs, renewDeadlineMs: leaderElection.renewDeadlineMs, retryPeriodMs: leaderElection.retryPeriodMs,
      clock, random, log, signal,
    }, lead);
  } else {
    await lead(signal);
  }
  await Promise.all([watching, sweeping]);
  await api.close();
}

/** How often series of events are looked through; milliseconds. */
const SWEEP_MS = 60_000;

async function sweepEvents(events: SeriesRecorder, clock: Clock, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await clock.sleep(SWEEP_MS, signal).catch(() => undefined);
    if (!signal.aborted) await events.sweep();
  }
}
