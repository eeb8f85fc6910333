// Wires the kubelet: sources of pods, a worker for each, the runtime below, the API server above, its own server.
import { mkdir, readFile } from 'node:fs/promises';
import { hostname as osHostname } from 'node:os';
import { join } from 'node:path';
import { connectToApiserver, TransportError, type ApiClient } from '#lib/api-client/client.ts';
import { EventRecorder, referenceTo } from '#lib/api-client/event-recorder.ts';
import { Informer } from '#lib/api-client/informer.ts';
import { isListening } from '#lib/api-client/wait-for-apiserver.ts';
import type { Clock } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { runtimeClassKind } from '#lib/kinds/node/runtime-class.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Node, Pod, PodStatus, Service } from '#lib/kinds/types/core-v1.ts';
import { integerValue } from '#lib/machinery/quantity.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { withDeadline } from '#lib/service/abort.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { exportSpans } from '#lib/tracing/start-tracing.ts';
import { admit } from './core/admission.ts';
import { parseResolvConf } from './core/dns.ts';
import type { FieldContext } from './core/downward-api.ts';
import { PREEMPTED } from './core/preemption.ts';
import { parseThresholds } from './core/eviction/thresholds.ts';
import { kubepodsLimits, podLimits, qosShares } from './core/node-size.ts';
import { capacities, parseTaint, type Pressure } from './core/node-status.ts';
import { fieldPathOf, fullNameOf, isMirrorPod, isStaticPod, isTerminalPhase, namespaceOf, uidOf } from './core/pod-spec.ts';
import { resizeRefusal } from './core/resize.ts';
import { isMirrorOf } from './core/static-pod.ts';
import { loadConfiguration } from './edge/configuration.ts';
import { disruptionTarget, EvictionManager } from './edge/eviction-manager.ts';
import { keepCsiNode } from './edge/csi-node.ts';
import { Housekeeping } from './edge/housekeeping.ts';
import { ImageCollector } from './edge/image-collector.ts';
import { ImagePuller } from './edge/image-puller.ts';
import { readMachine } from './edge/machine.ts';
import { MirrorPods } from './edge/mirror-pods.ts';
import { NodeAgent } from './edge/node-agent.ts';
import { NodeCgroups } from './edge/node-cgroups.ts';
import { NodeStats } from './edge/node-stats.ts';
import { PodRunner } from './edge/pod-runner.ts';
import type { WorkerServices } from './edge/pod-worker.ts';
import { PodWorkers } from './edge/pod-workers.ts';
import { ProbeManager } from './edge/probe-manager.ts';
import { ReferencedObjectStore } from './edge/referenced-objects.ts';
import { RuntimeEvents } from './edge/runtime-events.ts';
import { RuntimeHealth } from './edge/runtime-health.ts';
import { Runtime } from './edge/runtime.ts';
import { startKubeletServers } from './edge/server/servers.ts';
import { ServiceAccountTokens } from './edge/service-account-tokens.ts';
import { watchStaticPods } from './edge/static-source.ts';
import { StatusWriter } from './edge/status-writer.ts';
import { Volumes } from './edge/volumes.ts';
import type { KubeletFlags } from './flags.ts';

/** Back-off of failed pulls, and how long a container must not have been started anew for its own to be forgotten. Milliseconds. */
const PULL_BACK_OFF = { firstMs: 10_000, longestMs: 300_000 };
const CRASH_FORGET_MS = 600_000;
/** How long a pod of the API waits for the services whose variables it gets. Milliseconds. */
const SERVICES_WAIT_MS = 2_000;
/** Source: periodicQOSCgroupUpdateInterval. Milliseconds. */
const QOS_UPDATE_MS = 60_000;
/** Where the runtime keeps images and writable layers; CRI does not tell before there is one. */
const IMAGE_FOLDER = '/var/lib/containerd';
/** Everything is written again so often, in case the server's copy went astray. Milliseconds. Source: syncPeriod of the status manager. */
const STATUS_SYNC_MS = 10_000;
/** Mirrors whose static pods are gone are looked for this often. Milliseconds. Source: kubelet.go, housekeepingPeriod. */
const MIRROR_LOOK_MS = 2_000;
/** How often the API server is asked at first whether it is ready. Milliseconds, and number of times. */
const READY_FAST_MS = 150;
const READY_FAST_LOOKS = 400;
const READY_SLOW_MS = 1_000;

/** A host that starts has its pods to start; that it did can be told when they run. Events keep the time at which they happened. */
const EVENTS_HOLD_MS = 5_000;

const unmanaged = <T extends KubernetesObject>(object: T): T => {
  delete object.metadata.managedFields; // large, and of no use here
  return object;
};

export async function startKubelet(flags: KubeletFlags, environment: Environment, signal: AbortSignal): Promise<void> {
  const { clock, random, log } = environment;
  if (flags.v >= 4) log.level = 'debug';
  const config = await loadConfiguration(flags.config);
  if (config.tracing) await exportSpans(config.tracing, 'kubelet', log);
  const hostname = osHostname().toLowerCase();
  const name = (flags.hostnameOverride === '' ? hostname : flags.hostnameOverride).toLowerCase();
  const hostIPs = flags.nodeIp === '' ? [] : flags.nodeIp.split(',');
  const cgroupRoot = flags.cgroupRoot !== '' ? flags.cgroupRoot : config.cgroupRoot !== '' ? config.cgroupRoot : '/';
  await mkdir(join(flags.rootDir, 'pods'), { recursive: true, mode: 0o750 });
  const facts = await readMachine(flags.rootDir);
  const capacitySettings = {
    maxPods: flags.maxPods > 0 ? flags.maxPods : config.maxPods, cpu: flags.emulatorCapacityCpu, memory: flags.emulatorCapacityMemory,
    kubeReserved: config.kubeReserved, systemReserved: config.systemReserved, evictionHard: config.evictionHard,
  };
  const { capacity, allocatable } = capacities(facts, capacitySettings);
  const thresholds = parseThresholds({ hard: config.evictionHard, soft: config.evictionSoft, softGraceMs: config.evictionSoftGracePeriodMs, minReclaim: config.evictionMinimumReclaim });
  const cgroups = new NodeCgroups(log);
  const periodUs = config.cpuCFSQuotaPeriodMs * 1000;

  const runtime = new Runtime(flags.containerRuntimeEndpoint !== '' ? flags.containerRuntimeEndpoint : config.containerRuntimeEndpoint, config.runtimeRequestTimeoutMs);
  const api: ApiClient | undefined = flags.kubeconfig === '' ? undefined : connectToApiserver(await loadKubeconfig(flags.kubeconfig), 'kubelet');
  const events = api && new EventRecorder({ api, component: 'kubelet', host: name, clock, log, signal, holdMs: EVENTS_HOLD_MS });
  const onEvent = (pod: Pod, container: string | undefined, type: 'Normal' | 'Warning', reason: string, message: string): void => {
    log.debug({ pod: fullNameOf(pod), container, reason, message }, 'event');
    events?.event(referenceTo({ ...pod, apiVersion: 'v1', kind: 'Pod' }, container === undefined ? undefined : fieldPathOf(pod, container)), type, reason, message);
  };

  const informerOptions = { clock, random, log, transform: unmanaged };
  const pods = api && new Informer<Pod>({ ...informerOptions, api, kind: podKind, fieldSelector: `spec.nodeName=${name}` });
  const services = api && new Informer<Service>({ ...informerOptions, api, kind: serviceKind });
  const nodes = api && new Informer<Node>({ ...informerOptions, api, kind: nodeKind, fieldSelector: `metadata.name=${name}` });

  const tokens = api && new ServiceAccountTokens(api, clock);
  const volumes = new Volumes({ root: flags.rootDir, tokens, api, node: () => agent?.node });
  let pressures: ReadonlySet<Pressure> = new Set();
  let isStaticSourceRead = config.staticPodPath === '';
  const sourcesReady = (): boolean => isStaticSourceRead && (pods?.hasSynced ?? true);
  const context = (): FieldContext => ({ podIPs: [], hostIPs, nodeName: name, nodeAllocatable: agent?.node?.status?.allocatable ?? allocatable });
  const apiPod = (pod: Pod): Pod | undefined => {
    const found = pods?.get(namespaceOf(pod), pod.metadata.name);
    if (!found) return undefined;
    // The mirror of an earlier manifest is that of another pod.
    return isStaticPod(pod) ? (isMirrorOf(found, pod) ? found : undefined) : isMirrorPod(found) ? undefined : found;
  };
  /** A static pod that is wanted runs, whatever its mirror was told of an earlier life. */
  const knownStatus = (pod: Pod): PodStatus | undefined => {
    const status = apiPod(pod)?.status;
    return status && isStaticPod(pod) && isTerminalPhase(status.phase) ? { ...status, phase: 'Pending', containerStatuses: [], initContainerStatuses: [] } : status;
  };

  const statuses = new StatusWriter({
    ...environment, signal, apiPod,
    api: api ?? noApi,
    isFinished: (uid) => workers.get(uid)?.stage === 'finished',
  });
  const health = new RuntimeHealth({
    ...environment, runtime, signal,
    onChange: () => {
      agent?.look();
      for (const worker of workers.all()) if (worker.stage === 'syncing') worker.wake();
    },
  });
  const probes = new ProbeManager({
    ...environment, runtime, signal,
    hostIPs: () => hostIPs,
    statusOf: (uid) => statuses.get(uid),
    onVerdict: (uid, type, verdict) => {
      const worker = workers.get(uid);
      worker?.refreshStatus();
      if (verdict === 'failure' || type === 'startup') worker?.wake();
      if (type === 'startup') probes.trigger(uid);
    },
    onEvent: (pod, container, reason, message) => onEvent(pod, container, 'Warning', reason, message),
  });
  const puller = new ImagePuller({ ...environment, runtime, limits: PULL_BACK_OFF, maxParallel: config.maxParallelImagePulls, onEvent });
  const runner = new PodRunner({
    ...environment, runtime, puller, volumes, onEvent, cgroupRoot,
    crashLimits: { firstMs: config.firstContainerRestartPeriodMs, longestMs: config.maxContainerRestartPeriodMs, forgetMs: CRASH_FORGET_MS },
    logsRoot: config.podLogsDir,
    cgroupsPerQos: config.cgroupsPerQOS,
    clusterDns: config.clusterDNS,
    clusterDomain: config.clusterDomain,
    hostDns: parseResolvConf(config.resolvConf === '' ? '' : await readFile(config.resolvConf, 'utf8')),
    memoryCapacity: integerValue(capacity['memory']),
    cpuPeriodUs: periodUs,
    limitPod: (pod, parent) => (config.cgroupsPerQOS ? cgroups.set(parent, podLimits(pod, periodUs, config.podPidsLimit)) : Promise.resolve()),
    // Asked when it is needed: hardly any pod has one.
    runtimeHandler: async (runtimeClass) => {
      if (!api) throw new Error(`failed to get RuntimeClass ${runtimeClass}: there is no API server`);
      return (await api.get(runtimeClassKind, undefined, runtimeClass, { signal })).handler;
    },
    memoryUsageOf: async (containerId) => (await runtime.cri.containerStats({ containerId })).stats?.memory?.usageBytes?.value ?? 0,
    services: async (pod) => {
      if (!services) return [];
      if (!isStaticPod(pod)) await withDeadline(SERVICES_WAIT_MS, signal, (limit) => services.synced(limit));
      return services.list();
    },
  });
  const objects = api && new ReferencedObjectStore({
    ...environment, api, signal,
    onChange: (uids) => {
      for (const uid of uids) workers.get(uid)?.wake();
    },
  });
  const mirrors = api && new MirrorPods({
    ...environment, api, signal,
    apiPod: (namespace, podName) => pods?.get(namespace, podName),
    isSynced: () => pods?.hasSynced === true,
    node: () => agent?.node,
    retry: (pod) => workers.get(uidOf(pod))?.wake(),
  });
  const workerServices: WorkerServices = {
    ...environment, runtime, runner, volumes, probes, statuses, context, onEvent, signal,
    syncFrequencyMs: config.syncFrequencyMs,
    objects: async (pod) => (objects ? objects.of(pod) : { configMap: () => undefined, secret: () => undefined }),
    resizeRefusal: (pod) => resizeRefusal(pod, workers.all().filter(({ stage, uid }) => stage === 'syncing' && uid !== uidOf(pod)).map((worker) => worker.allocatedPod), agent?.node ?? { metadata: { name }, spec: {}, status: { allocatable } }),
    networkProblem: () => health.networkProblem(),
    knownStatus,
    keepMirror: (pod) => mirrors?.keep(pod),
    onFinished: async (worker) => {
      objects?.release(worker.uid);
      puller.forget(worker.uid);
      runner.forget(worker.uid);
      await housekeeping.removeCgroups(worker.uid);
      for (const other of workers.all()) if (other.hasDeferredResize) other.wake(); // there may be room now
      queueMicrotask(() => workers.finished(worker));
    },
  };
  const workers = new PodWorkers({
    services: workerServices,
    admit: (pod, others) => {
      const node = agent?.node ?? { metadata: { name }, spec: {}, status: { allocatable } };
      return admit({ pod, node, others, pressures: [...pressures] });
    },
    preempt: (victim) => {
      onEvent(victim.pod, undefined, 'Warning', PREEMPTED.reason, PREEMPTED.message);
      victim.end({ ...PREEMPTED, graceSeconds: 0, conditions: [disruptionTarget(PREEMPTED.message)] });
    },
    onGone: () => void housekeeping.collect().catch((error: unknown) => log.error({ err: error }, 'housekeeping failed')),
  });
  const housekeeping = new Housekeeping({
    ...environment, runtime, runner, workers, volumes, cgroupRoot, sourcesReady, signal,
    logsRoot: config.podLogsDir,
    logMaxBytes: integerValue(config.containerLogMaxSize),
    logMaxFiles: config.containerLogMaxFiles,
    logCheckMs: config.containerLogMonitorIntervalMs,
  });
  const onNodeEvent = (reason: string, message: string): void => agent?.warn(reason, message);
  const stats = new NodeStats({
    ...environment, runtime, volumes, cgroups, cgroupRoot, cgroupsPerQos: config.cgroupsPerQOS, nodeName: name, rootFolder: flags.rootDir, imageFolder: IMAGE_FOLDER, logsRoot: config.podLogsDir,
    workers: () => workers, memoryCapacity: integerValue(capacity['memory']), isMemoryDeclared: flags.emulatorCapacityMemory !== '',
  });
  const images = new ImageCollector({
    ...environment, runtime, folder: IMAGE_FOLDER, onNodeEvent, signal,
    policy: { highPercent: config.imageGCHighThresholdPercent, lowPercent: config.imageGCLowThresholdPercent, minAgeMs: config.imageMinimumGCAgeMs },
  });
  const eviction = new EvictionManager({
    ...environment, stats, thresholds, signal, onNodeEvent,
    workers: () => workers,
    transitionMs: config.evictionPressureTransitionPeriodMs,
    maxPodGraceSeconds: config.evictionMaxPodGracePeriod,
    isolatesLocalStorage: config.localStorageCapacityIsolation,
    freeDisk: async () => {
      await housekeeping.removeDead();
      await images.removeUnused();
    },
    onPressures: (next) => {
      pressures = next;
      agent?.look();
    },
    onPodEvent: (pod, reason, message) => onEvent(pod, undefined, 'Warning', reason, message),
  });
  /** The service classes share the processors by what their pods asked for. */
  const updateQosCgroups = async (): Promise<void> => {
    const shares = qosShares(workers.all().filter(({ stage }) => stage === 'syncing').map(({ pod }) => pod));
    await cgroups.set(join(cgroupRoot, 'kubepods/burstable'), { cpuShares: shares.burstable });
    await cgroups.set(join(cgroupRoot, 'kubepods/besteffort'), { cpuShares: shares.besteffort });
  };
  const runtimeEvents = new RuntimeEvents({
    ...environment, runtime, signal,
    onPod: (uid) => workers.get(uid)?.wakeForEvent(),
    onList: (list) => housekeeping.killOrphans(list),
  });
  const agent = api && events && new NodeAgent({
    ...environment, api, events, runtime, name, hostname: name, facts, signal,
    addresses: hostIPs,
    port: config.port,
    labels: flags.nodeLabels,
    taints: [...config.registerWithTaints, ...flags.registerWithTaints.map(parseTaint)],
    registers: flags.registerNode && config.registerNode,
    capacity: capacitySettings,
    maxImages: config.nodeStatusMaxImages,
    updateFrequencyMs: config.nodeStatusUpdateFrequencyMs,
    reportFrequencyMs: config.nodeStatusReportFrequencyMs,
    leaseDurationSeconds: config.nodeLeaseDurationSeconds,
    problems: () => [...health.problems(), ...[runtimeEvents.problem()].filter((problem) => problem !== undefined)],
    pressures: () => pressures,
    volumesInUse: () => [],
    onNode: () => {
      for (const { pod, isRemoved, stage } of workers.all()) if (isStaticPod(pod) && !isRemoved && stage === 'syncing') mirrors?.keep(pod);
    },
  });

  const mirrorChanged = (mirror: Pod): void => {
    const owner = workers.staticByName(fullNameOf(mirror));
    if (owner) {
      mirrors?.keep(owner.pod);
      statuses.wake(owner.uid);
    } else {
      void deleteOrphanMirrors();
    }
  };
  const podChanged = (pod: Pod): void => {
    if (isMirrorPod(pod)) return mirrorChanged(pod);
    workers.apply(pod);
    statuses.wake(uidOf(pod));
  };
  pods?.addHandler({
    added: podChanged,
    updated: podChanged,
    deleted: (pod) => {
      if (!isMirrorPod(pod)) return workers.remove(pod);
      const owner = workers.staticByName(fullNameOf(pod));
      if (owner) mirrors?.keep(owner.pod);
    },
  });
  nodes?.addHandler({ added: (node) => agent?.observe(node), updated: (node) => agent?.observe(node) });
  if (api && nodes) keepCsiNode({ ...environment, api, nodes, signal });

  let staticPods: readonly Pod[] = [];
  const deleteOrphanMirrors = async (): Promise<void> => {
    if (!isStaticSourceRead) return;
    const orphans = pods?.list().filter((pod) => isMirrorPod(pod) && !staticPods.some((one) => fullNameOf(one) === fullNameOf(pod))) ?? [];
    for (const mirror of orphans) {
      await mirrors?.delete(mirror).catch((error: unknown) => log.warn({ err: error, pod: fullNameOf(mirror) }, 'cannot delete mirror pod of a static pod that is gone, trying again'));
    }
  };
  const takeStaticPods = (next: readonly Pod[]): void => {
    const gone = staticPods.filter((pod) => !next.some((one) => uidOf(one) === uidOf(pod)));
    staticPods = next;
    isStaticSourceRead = true;
    for (const pod of gone) workers.remove(pod);
    void deleteOrphanMirrors();
    for (const pod of next) workers.apply(pod);
  };

  const every = async (periodMs: number, work: () => void | Promise<void>): Promise<void> => {
    while (!signal.aborted) {
      await work();
      await clock.sleep(periodMs, signal).catch(() => undefined);
    }
  };

  const servers = startKubeletServers({ ...environment, config, flags, name, hostIPs, runtime, api, workers, statuses, volumes, health, stats, runtimeEvents, signal });
  const work: Promise<unknown>[] = [servers, health.run()];
  // Nothing can be done for pods before the runtime answers.
  await Promise.race([health.answered(), new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))]);
  if (!signal.aborted) {
    log.info({ node: name, runtime: runtime.identity, staticPods: config.staticPodPath, api: api?.server }, 'kubelet starts');
    if (config.staticPodPath !== '') work.push(watchStaticPods({ ...environment, path: config.staticPodPath, nodeName: name, checkFrequencyMs: config.fileCheckFrequencyMs, onPods: takeStaticPods, signal }));
    if (config.cgroupsPerQOS) {
      if (config.enforceNodeAllocatable.includes('pods')) await cgroups.set(join(cgroupRoot, 'kubepods'), kubepodsLimits(facts, capacitySettings, periodUs));
      work.push(every(QOS_UPDATE_MS, updateQosCgroups));
    }
    work.push(runtimeEvents.run(), housekeeping.run(), eviction.run(), images.run());
    if (api) {
      // Pods are taken only once the node's own object is known: whether a pod may stay is decided by its labels and taints.
      const runPods = async (): Promise<void> => {
        await nodes?.synced(signal).catch(() => undefined);
        await pods?.run(signal);
      };
      work.push(untilReady(api, clock, signal).then(() => Promise.all([
        nodes?.run(signal), services?.run(signal), runPods(), agent?.run(), every(STATUS_SYNC_MS, () => statuses.wakeAll()), every(MIRROR_LOOK_MS, deleteOrphanMirrors),
      ])));
    }
    void pods?.synced(signal).then(async () => {
      runtimeEvents.listNow(); // now it is known which of the running pods are wanted
      for (const { pod, isRemoved } of workers.all()) if (isStaticPod(pod) && !isRemoved) mirrors?.keep(pod);
      await housekeeping.collect();
    }).catch((error: unknown) => {
      if (!signal.aborted) log.error({ err: error }, 'housekeeping failed');
    });
  }
  await Promise.all(work);
  runtime.close();
  await api?.close();
}

/**
 * The kubelet of a control plane starts its own API server, and asking that every moment finds it ready sooner than the
 * back-off of the watches would.
 */
async function untilReady(api: ApiClient, clock: Clock, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      if (await isListening(api.server)) return void await api.request('GET', '/readyz', undefined, { signal });
    } catch (error) {
      if (signal.aborted) return;
      // Refused or not found: it answers, and knows no such check or does not tell us.
      if (error instanceof StatusError && error.code < 500) return;
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
    }
    await clock.sleep(attempt < READY_FAST_LOOKS ? READY_FAST_MS : READY_SLOW_MS, signal).catch(() => undefined);
  }
}

/** Stands in where there is no API server: no pod is known to it, so nothing is ever asked of this. */
const noApi = undefined as unknown as ApiClient;
