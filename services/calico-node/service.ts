// Wires the agent: informers and the kernel's own events wake two loops. One claims blocks in the API and tells the
// container runtime and the Node object; the other keeps routes and NAT as they should be, whether the API answers or not.
import { trace } from '@opentelemetry/api';
import { connectToApiserver } from '#lib/api-client/client.ts';
import { Informer } from '#lib/api-client/informer.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { blockAffinityKind } from '#lib/kinds/calico/block-affinity.ts';
import { ipPoolKind } from '#lib/kinds/calico/ip-pool.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import { endpointSliceKind } from '#lib/kinds/discovery/endpoint-slice.ts';
import { networkPolicyKind } from '#lib/kinds/networking/network-policy.ts';
import type { BlockAffinity } from '#lib/kinds/types/calico-v1.ts';
import type { Namespace, Node, Pod, Service } from '#lib/kinds/types/core-v1.ts';
import { sameContent } from '#lib/machinery/deep-equal.ts';
import { isAlreadyExists } from '#lib/machinery/status-error.ts';
import { loadInClusterConfig, loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { DemandLoop } from '#lib/service/demand-loop.ts';
import type { Flags } from '#lib/service/flags.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { readinessRoute } from '#lib/service/readiness-route.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { noteSpan } from '#lib/tracing/in-span.ts';
import { wallClock } from '#lib/tracing/wall-clock.ts';
import { needsAnotherBlock } from './core/address-demand.ts';
import { confirmedBlocks, isForWorkloads, newestOf } from './core/block-claim.ts';
import { CNI_CONFIG_NAME, cniConfigText } from './core/cni-config.ts';
import { NAT_TABLE, natRules } from './core/nat-rules.ts';
import { addressesToAnnounce, isLocalOnly } from './core/load-balancer.ts';
import { leanPod, policyPod, rulesOfNode } from './core/network-policy.ts';
import { addressWithPrefix, leanNode, nodeAddress, nodeAnnouncement } from './core/node-record.ts';
import { POLICY_TABLE, policyRules } from './core/policy-rules.ts';
import { desiredRoutes, routeChanges } from './core/routes.ts';
import { settingsFrom } from './core/settings.ts';
import { claimBlock } from './edge/block-claimer.ts';
import { installCniPrograms } from './edge/cni-programs.ts';
import { writeCniConfig } from './edge/cni-file.ts';
import { applyNft, changeLoadBalancerAddresses, changeRoutes, linkAddresses, loadBalancerAddresses, nftTableExists, ownRoutes, podRoutes, switchForwardingOn, watchKernelNetwork } from './edge/kernel-network.ts';
import type { calicoNodeFlags } from './flags.ts';

/** Changes that come together are served together; milliseconds. */
const ROUTE_INTERVAL_MS = 50;
/** Everything is looked at again this often even when nothing was heard; milliseconds. Source: Felix RouteRefreshInterval, 90 s. */
const REFRESH_MS = 30_000;
const RETRY_MS = 1_000;
/** Below the 10 s that a probe waits. */
const READY_HOLD_MS = 5_000;
const POD_COUNT_INTERVAL_MS = 1_000;
/** A change of pods or policies is in the kernel within this time, however many come; milliseconds. */
const POLICY_INTERVAL_MS = 100;
const tracer = trace.getTracer('github.com/projectcalico/calico');
const DEFAULT_POOL = 'default-ipv4-ippool';
/** The kernel's state counts as unattended when no look at it succeeded for so long; milliseconds. */
const LIVENESS_LIMIT_MS = 3 * REFRESH_MS;

export async function startCalicoNode(
  flags: Flags<typeof calicoNodeFlags>, variables: Readonly<Record<string, string | undefined>>, { clock, random, log }: Environment, signal: AbortSignal,
): Promise<void> {
  const settings = settingsFrom(variables);
  const { node } = settings;
  await switchForwardingOn();
  const programs = await installCniPrograms(settings.cniProgramFolder);
  if (programs.length > 0) log.info({ programs, folder: settings.cniProgramFolder }, 'installed CNI programs');
  const access = flags.kubeconfig === '' ? await loadInClusterConfig(variables) : await loadKubeconfig(flags.kubeconfig);
  const api = connectToApiserver(access, 'calico-node');

  const pools = new Informer({ api, kind: ipPoolKind, clock, random, log });
  const affinities = new Informer({ api, kind: blockAffinityKind, clock, random, log });
  const nodes = new Informer<Node>({ api, kind: nodeKind, transform: leanNode, clock, random, log });
  /** Claimed a moment ago; the watch may not have told of it yet, or of an earlier state of it. */
  const justClaimed = new Map<string, BlockAffinity>();
  const knownAffinities = (): BlockAffinity[] => newestOf([...affinities.list(), ...justClaimed.values()]);
  const policies = new Informer({ api, kind: networkPolicyKind, clock, random, log });
  // Whom policies select and name. Watched from the first policy on: most clusters have none, and this is the largest part of their state.
  const pods = new Informer<Pod>({ api, kind: podKind, transform: leanPod, clock, random, log });
  const namespaces = new Informer<Namespace>({ api, kind: namespaceKind, clock, random, log });
  let watchingPods: Promise<void> | undefined;
  const hasSynced = (): boolean => pools.hasSynced && affinities.hasSynced && nodes.hasSynced;

  let podAddresses: readonly string[] = [];
  let isNetworkReady = false;
  let routesSyncedMs = clock.nowMs();
  let hasSyncedRoutes = false;
  let appliedNatRules: string | undefined;
  let natCheckedMs = -Infinity;

  const claim = async (): Promise<void> => {
    if (!hasSynced()) return;
    if (!pools.list().some(isForWorkloads)) {
      const { cidr, blockSize, natOutgoing } = settings.pool;
      await api.create(ipPoolKind, {
        metadata: { name: DEFAULT_POOL },
        spec: { cidr, blockSize, natOutgoing, ipipMode: 'Never', vxlanMode: 'Never', nodeSelector: 'all()', allowedUses: ['Workload', 'Tunnel'] },
      }, { signal }).then(() => log.info({ pool: DEFAULT_POOL, cidr }, 'created the default pool'), (error: unknown) => {
        if (!isAlreadyExists(error)) throw error;
      });
      return; // the watch brings the pool, whoever made it
    }
    const own = nodes.get(undefined, node);
    if (!own) return; // a node that was deleted gets its block when it registers again
    const blocks = (): string[] => confirmedBlocks(knownAffinities(), node);
    if (blocks().length === 0) await claimOne();
    if (await writeCniConfig(settings.cniFolder, CNI_CONFIG_NAME, cniConfigText({ node, blocks: blocks(), mtu: settings.mtu }))) {
      log.info({ node, blocks: blocks(), file: `${settings.cniFolder}/${CNI_CONFIG_NAME}` }, 'wrote the CNI configuration');
    }
    isNetworkReady = true;
    const announcement = nodeAnnouncement(own, addressWithPrefix(own, linkAddresses()), new Date(clock.nowMs()).toISOString().replace(/\.\d+Z$/, 'Z'));
    if (announcement) await api.patch(nodeKind, undefined, node, announcement, { type: 'strategic', subresource: 'status', signal });
    if (needsAnotherBlock(blocks(), podAddresses)) {
      await claimOne();
      await writeCniConfig(settings.cniFolder, CNI_CONFIG_NAME, cniConfigText({ node, blocks: blocks(), mtu: settings.mtu }));
    }
  };
  const claimOne = async (): Promise<void> => {
    const affinity = await claimBlock({ api, node, pools: pools.list(), affinities: knownAffinities(), log, signal });
    justClaimed.set(affinity.metadata.name, affinity);
    dataplaneLoop.request();
  };

  const syncDataplane = async (): Promise<void> => {
    if (!affinities.hasSynced || !nodes.hasSynced) return; // what the kernel has from before stays until more is known
    const actual = await ownRoutes();
    const desired = desiredRoutes({ node, nodes: nodes.list().flatMap((other) => nodeAddress(other) ?? []), affinities: knownAffinities(), links: linkAddresses() });
    const changes = routeChanges(actual, desired);
    if (changes.remove.length + changes.put.length > 0) {
      const startTime = wallClock.nowMs();
      await changeRoutes(changes);
      const put = changes.put.map(({ destination, via }) => `${destination} via ${via ?? 'blackhole'}`);
      const removed = changes.remove.map(({ destination }) => destination);
      log.info({ put, removed }, 'changed routes');
      noteSpan(tracer, 'change routes', { startTime, attributes: { [attribute.nodeName]: node, [attribute.what]: [...put, ...removed.map((one) => `-${one}`)].join('; ') } });
    }
    if (pools.hasSynced) await syncNat();
    routesSyncedMs = clock.nowMs();
    hasSyncedRoutes = true;
  };
  const syncNat = async (): Promise<void> => {
    const rules = natRules(pools.list());
    const isDue = clock.nowMs() - natCheckedMs >= REFRESH_MS;
    if (rules === appliedNatRules && !(isDue && !(await nftTableExists(NAT_TABLE)))) {
      if (isDue) natCheckedMs = clock.nowMs();
      return;
    }
    await applyNft(rules);
    appliedNatRules = rules;
    natCheckedMs = clock.nowMs();
  };

  const balancers = new Informer<Service>({ api, kind: serviceKind, fieldSelector: 'spec.type=LoadBalancer', clock, random, log });
  // Watched from the first Service on whose traffic has to stay on the node.
  const slices = new Informer({ api, kind: endpointSliceKind, clock, random, log });
  let watchingSlices: Promise<void> | undefined;
  const announce = async (): Promise<void> => {
    if (!balancers.hasSynced || !nodes.hasSynced) return;
    if (!watchingSlices && balancers.list().some(isLocalOnly)) {
      watchingSlices = slices.run(signal);
      void slices.synced(signal).then(() => announceLoop.request(), () => undefined);
    }
    if (watchingSlices && !slices.hasSynced) return;
    const own = nodes.get(undefined, node);
    const ownAddress = own && nodeAddress(own)?.address;
    const device = linkAddresses().find(({ cidr }) => cidr.split('/')[0] === ownAddress)?.device;
    if (device === undefined) return; // not on the network at the moment: the kernel tells when it is
    const wanted = addressesToAnnounce({ node, services: balancers.list(), nodes: nodes.list(), slices: slices.list() });
    const present = await loadBalancerAddresses();
    const remove = present.filter((one) => one.device !== device || !wanted.includes(one.address));
    const put = wanted.filter((address) => !present.some((one) => one.device === device && one.address === address));
    if (remove.length + put.length === 0) return;
    await changeLoadBalancerAddresses(device, remove, put);
    log.info({ put, removed: remove.map(({ address }) => address) }, 'changed addresses of load balancers');
  };
  const announceLoop = new DemandLoop({
    work: announce, clock, minIntervalMs: ROUTE_INTERVAL_MS, retryMs: RETRY_MS, periodMs: REFRESH_MS,
    onError: (error) => log.warn({ err: error, node }, 'cannot announce load balancers'),
  });
  const requestAnnouncement = (): void => announceLoop.request();
  for (const informer of [balancers, slices, nodes]) informer.addHandler({ added: requestAnnouncement, deleted: requestAnnouncement });
  for (const informer of [balancers, slices]) informer.addHandler({ updated: requestAnnouncement });
  nodes.addHandler({ updated: (next, previous) => {
    if (!sameContent({ ...next, metadata: next.metadata.labels }, { ...previous, metadata: previous.metadata.labels })) requestAnnouncement();
  } });
  void balancers.synced(signal).then(requestAnnouncement, () => undefined);

  let appliedPolicyRules: string | undefined;
  const syncPolicies = async (): Promise<void> => {
    if (!policies.hasSynced) return; // what the kernel has from before holds until more is known
    if (policies.size > 0 && !watchingPods) {
      watchingPods = Promise.all([pods.run(signal), namespaces.run(signal)]).then(() => undefined);
      void Promise.all([pods.synced(signal), namespaces.synced(signal)]).then(() => policyLoop.request(), () => undefined);
    }
    if (policies.size > 0 && !(pods.hasSynced && namespaces.hasSynced)) return;
    const rules = policyRules(policies.size === 0 ? [] : rulesOfNode({
      policies: policies.list(), pods: pods.list().flatMap((pod) => policyPod(pod) ?? []),
      namespaces: namespaces.list().map(({ metadata }) => ({ name: metadata.name, labels: metadata.labels ?? {} })),
    }, node));
    if (rules === appliedPolicyRules && (policies.size === 0 || await nftTableExists(POLICY_TABLE))) return;
    await applyNft(rules);
    appliedPolicyRules = rules;
    log.info({ policies: policies.size }, 'programmed network policies');
    noteSpan(tracer, 'program network policies', { attributes: { [attribute.nodeName]: node, [attribute.what]: `${policies.size} policies` } });
  };
  const policyLoop = new DemandLoop({
    work: syncPolicies, clock, minIntervalMs: POLICY_INTERVAL_MS, retryMs: RETRY_MS, periodMs: REFRESH_MS,
    onError: (error) => log.warn({ err: error, node }, 'cannot program network policies'),
  });
  const requestPolicies = (): void => policyLoop.request();
  for (const informer of [policies, namespaces]) informer.addHandler({ added: requestPolicies, updated: requestPolicies, deleted: requestPolicies });
  pods.addHandler({ added: requestPolicies, deleted: requestPolicies, updated: (next, previous) => {
    if (!sameContent(policyPod(next), policyPod(previous))) requestPolicies();
  } });

  const claimLoop = new DemandLoop({
    work: claim, clock, minIntervalMs: 0, retryMs: RETRY_MS, periodMs: REFRESH_MS,
    onError: (error) => log.warn({ err: error, node }, 'cannot settle blocks with the API server'),
  });
  const dataplaneLoop = new DemandLoop({
    work: syncDataplane, clock, minIntervalMs: ROUTE_INTERVAL_MS, retryMs: RETRY_MS, periodMs: REFRESH_MS,
    onError: (error) => log.warn({ err: error, node }, 'cannot program routes'),
  });
  const podCountLoop = new DemandLoop({
    work: async () => {
      podAddresses = await podRoutes();
      if (needsAnotherBlock(confirmedBlocks(knownAffinities(), node), podAddresses)) claimLoop.request();
    },
    clock, minIntervalMs: POD_COUNT_INTERVAL_MS, retryMs: RETRY_MS,
    onError: (error) => log.warn({ err: error, node }, 'cannot count pods'),
  });

  const requestBoth = (): void => {
    claimLoop.request();
    dataplaneLoop.request();
  };
  pools.addHandler({ added: requestBoth, updated: requestBoth, deleted: requestBoth });
  const onAffinity = (affinity: BlockAffinity): void => {
    const claimed = justClaimed.get(affinity.metadata.name);
    if (claimed && newestOf([claimed, affinity])[0] === affinity) justClaimed.delete(affinity.metadata.name);
    requestBoth();
  };
  affinities.addHandler({ added: onAffinity, updated: onAffinity, deleted: ({ metadata }) => {
    justClaimed.delete(metadata.name);
    requestBoth();
  } });
  nodes.addHandler({
    added: requestBoth,
    deleted: requestBoth,
    updated: (next, previous) => {
      if (next.metadata.name === node) claimLoop.request();
      if (nodeAddress(next)?.address !== nodeAddress(previous)?.address) dataplaneLoop.request();
    },
  });
  void policies.synced(signal).then(requestPolicies, () => undefined);
  const requestWhenSynced = Promise.all([pools, affinities, nodes].map((informer) => informer.synced(signal))).then(requestBoth, () => undefined);

  const liveness = (): string | undefined => (clock.nowMs() - routesSyncedMs > LIVENESS_LIMIT_MS && nodes.hasSynced ? 'routes could not be looked at for long' : undefined);
  const readiness = (): string | undefined => (!isNetworkReady ? 'no block of addresses yet' : !hasSyncedRoutes ? 'routes are not programmed yet' : liveness());
  const ok = { code: 204, text: '' };
  const health = startHealthServer({
    host: settings.healthHost, port: settings.healthPort, metrics: newMetrics(), signal,
    live: [{ name: 'routes', check: liveness }], ready: [{ name: 'network', check: readiness }],
    routes: { '/liveness': readinessRoute({ check: liveness, holdMs: 0, ok }), '/readiness': readinessRoute({ check: readiness, holdMs: READY_HOLD_MS, ok }) },
  });

  await Promise.all([
    health, requestWhenSynced,
    pools.run(signal), affinities.run(signal), nodes.run(signal), policies.run(signal), balancers.run(signal),
    announceLoop.run(signal), claimLoop.run(signal), dataplaneLoop.run(signal), podCountLoop.run(signal), policyLoop.run(signal),
    watchKernelNetwork((isPodInterface) => {
      (isPodInterface ? podCountLoop : dataplaneLoop).request();
      if (!isPodInterface && balancers.size > 0) announceLoop.request();
    }, { clock, signal }),
  ]);
  await api.close();
}
