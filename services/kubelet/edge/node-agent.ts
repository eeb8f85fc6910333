// Keeps this host's Node object and Lease: registers, reports, renews. Source: pkg/kubelet/kubelet_node_status.go.
import { steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { jitterMs } from '#lib/environment/random.ts';
import { TransportError, type ApiClient } from '#lib/api-client/client.ts';
import type { EventRecorder } from '#lib/api-client/event-recorder.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { leaseKind } from '#lib/kinds/coordination/lease.ts';
import type { Lease } from '#lib/kinds/types/coordination-v1.ts';
import type { Node, NodeAddress, NodeStatus, Taint } from '#lib/kinds/types/core-v1.ts';
import { isAlreadyExists, isConflict, isNotFound, StatusError } from '#lib/machinery/status-error.ts';
import { formatMicroTime } from '#lib/machinery/time.ts';
import { withAbort } from '#lib/service/abort.ts';
import { attribute } from '#lib/tracing/attributes.ts';
import { FailureStreak } from '#lib/tracing/failure-streak.ts';
import { capacities, labelCorrections, newNode, nodeConditions, PRESSURES, statusChanged, type CapacitySettings, type MachineFacts, type Pressure } from '../core/node-status.ts';
import type { Runtime } from './runtime.ts';

const VERSION = 'v1.36.2';
/** The lease is renewed four times in its duration. Source: nodeLeaseRenewIntervalFraction. */
const RENEWALS_PER_LEASE = 4;
const LEASE_NAMESPACE = 'kube-node-lease';
/** Until the node is ready its status is looked at this often. Milliseconds. Source: fastStatusUpdateOnce. */
const FAST_LOOK_MS = 100;
const REGISTER_FIRST_MS = 100;
const REGISTER_LONGEST_MS = 7_000;

export interface NodeAgentOptions extends Environment {
  readonly api: ApiClient;
  readonly events: EventRecorder;
  readonly runtime: Runtime;
  readonly name: string;
  readonly hostname: string;
  readonly addresses: readonly string[];
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  readonly registers: boolean;
  readonly facts: MachineFacts;
  readonly capacity: CapacitySettings;
  readonly maxImages: number;
  readonly updateFrequencyMs: number;
  readonly reportFrequencyMs: number;
  readonly leaseDurationSeconds: number;
  readonly problems: () => readonly string[];
  readonly pressures: () => ReadonlySet<Pressure>;
  readonly volumesInUse: () => readonly string[];
  /** The node as last seen at the server. */
  readonly onNode: (node: Node) => void;
  readonly signal: AbortSignal;
}

export class NodeAgent {
  readonly #options: NodeAgentOptions;
  #node: Node | undefined;
  #reportedMs = 0;
  #saidReboot = false;
  #wake: (() => void) | undefined;
  #imagesText = '';
  #images: NonNullable<NodeStatus['images']> = [];

  constructor(options: NodeAgentOptions) {
    this.#options = options;
  }

  get node(): Node | undefined {
    return this.#node;
  }

  async run(): Promise<void> {
    const { log, name } = this.#options;
    await this.#register();
    if (this.#options.signal.aborted) return;
    log.info({ node: name }, 'node is registered');
    this.#event('Normal', 'Starting', 'Starting kubelet.');
    await Promise.all([this.#reportForEver(), this.#renewForEver()]);
  }

  /** Something that the status tells has changed. */
  look(): void {
    this.#wake?.();
  }

  /** The server's copy changed: others set labels, taints, addresses of the network. */
  observe(node: Node): void {
    const before = this.#node;
    if (before && BigInt(before.metadata.resourceVersion ?? '0') > BigInt(node.metadata.resourceVersion ?? '0')) return;
    this.#node = node;
    if (before && (before.spec.unschedulable === true) !== (node.spec.unschedulable === true)) {
      const reason = node.spec.unschedulable === true ? 'NodeNotSchedulable' : 'NodeSchedulable';
      this.#event('Normal', reason, `Node ${node.metadata.name} status is now: ${reason}`);
    }
  }

  /** A warning event about the node. */
  warn(reason: string, message: string): void {
    this.#event('Warning', reason, message);
  }

  #event(type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { events, name } = this.#options;
    events.event({ apiVersion: 'v1', kind: 'Node', name, uid: name }, type, reason, message);
  }

  async #register(): Promise<void> {
    const { clock, log, random, signal } = this.#options;
    for (let waitMs = REGISTER_FIRST_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, REGISTER_LONGEST_MS)) {
      try {
        const node = await this.#registered();
        if (node) return this.#take(node);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        log.warn({ err: error }, 'cannot register node, trying again');
      }
      await clock.sleep(Math.min(waitMs, jitterMs(random, waitMs, 0.1)), signal).catch(() => undefined);
    }
  }

  async #registered(): Promise<Node | undefined> {
    const { api, name, registers, signal } = this.#options;
    const registration = { name, hostname: this.#options.hostname, architecture: this.#options.facts.architecture, labels: this.#options.labels, taints: this.#options.taints };
    try {
      const known = await api.get(nodeKind, undefined, name, { signal });
      const labels = labelCorrections(known, registration);
      return labels ? await api.patch(nodeKind, undefined, name, { metadata: { labels } }, { type: 'strategic', signal }) : known;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      if (!registers) return undefined; // someone else makes it
    }
    try {
      const node = newNode(registration);
      const status = await this.#status(undefined);
      return await api.create(nodeKind, { ...node, status }, { signal });
    } catch (error) {
      if (isAlreadyExists(error)) return undefined;
      throw error;
    }
  }

  #take(node: Node): void {
    this.#node = node;
    this.#options.onNode(node);
  }

  async #reportForEver(): Promise<void> {
    const { clock, log, signal, updateFrequencyMs } = this.#options;
    let hasBeenReady = false;
    while (!signal.aborted) {
      let isSettled = true;
      try {
        isSettled = await this.#report();
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        log.warn({ err: error }, 'error updating node status, will retry');
        isSettled = hasBeenReady;
      }
      hasBeenReady ||= this.#node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true;
      await this.#pause(hasBeenReady && isSettled ? updateFrequencyMs : FAST_LOOK_MS, clock);
    }
  }

  #pause(durationMs: number, clock: NodeAgentOptions['clock']): Promise<void> {
    return withAbort(this.#options.signal, (waking) => {
      this.#wake = () => waking.abort(new Error('look now'));
      return clock.sleep(durationMs, waking.signal);
    }).catch(() => undefined);
  }

  /** Resolves with false when it has to be done again soon. */
  async #report(): Promise<boolean> {
    const { api, name, clock, reportFrequencyMs, onNode, signal } = this.#options;
    const known = this.#node;
    if (!known) return false;
    const before = known.status;
    const status = await this.#status(before);
    const isDue = steadily(clock).nowMs() - this.#reportedMs >= reportFrequencyMs;
    if (!statusChanged(before, status) && !isDue) return true;
    this.#tellChanges(before);
    try {
      const node = await api.patch(nodeKind, undefined, name, { metadata: { uid: known.metadata.uid }, status: patchOf(before ?? {}, status) }, { type: 'strategic', subresource: 'status', signal });
      this.#reportedMs = steadily(clock).nowMs();
      this.#node = node;
      onNode(node);
      return true;
    } catch (error) {
      if (!isNotFound(error) && !isConflict(error)) throw error;
      // The node object was deleted (and perhaps made again): upstream's kubelet registers only at its start.
      const node = await api.get(nodeKind, undefined, name, { signal }).catch((reason: unknown) => {
        if (isNotFound(reason)) return undefined;
        throw reason;
      });
      if (node) this.#take(node);
      return true;
    }
  }

  #tellChanges(before: NodeStatus | undefined): void {
    const { name, clock, facts } = this.#options;
    const { events } = nodeConditions({ previous: this.#reportedMs === 0 ? (before?.conditions ?? []).filter(({ type }) => !PRESSURES.includes(type as Pressure)) : before?.conditions ?? [], pressures: this.#options.pressures(), problems: this.#options.problems(), nowMs: clock.nowMs() });
    const bootBefore = before?.nodeInfo?.bootID ?? '';
    if (!this.#saidReboot && bootBefore !== '' && bootBefore !== facts.bootId) {
      this.#event('Warning', 'Rebooted', `Node ${name} has been rebooted, boot id: ${facts.bootId}`);
    }
    this.#saidReboot = true;
    for (const reason of events) this.#event('Normal', reason, `Node ${name} status is now: ${reason}`);
    if (this.#reportedMs === 0) this.#event('Normal', 'NodeAllocatableEnforced', 'Updated Node Allocatable limit across pods');
  }

  async #status(before: NodeStatus | undefined): Promise<NodeStatus> {
    const { clock, facts, capacity, addresses, hostname, port, runtime, problems, pressures, volumesInUse } = this.#options;
    const { capacity: total, allocatable } = capacities(facts, capacity);
    const nodeAddresses: NodeAddress[] = [...addresses.map((address) => ({ type: 'InternalIP', address })), { type: 'Hostname', address: hostname }];
    const { conditions } = nodeConditions({ previous: before?.conditions ?? [], pressures: pressures(), problems: problems(), nowMs: clock.nowMs() });
    return {
      ...before,
      capacity: { ...extended(before?.capacity), ...total },
      allocatable: { ...extended(before?.allocatable), ...allocatable },
      addresses: nodeAddresses,
      conditions,
      daemonEndpoints: { kubeletEndpoint: { Port: port } },
      images: await this.#currentImages(),
      volumesInUse: [...volumesInUse()],
      nodeInfo: {
        architecture: facts.architecture, bootID: facts.bootId, kernelVersion: facts.kernelVersion, machineID: facts.machineId,
        containerRuntimeVersion: `${runtime.identity.name}://${runtime.identity.version}`,
        kubeletVersion: VERSION, kubeProxyVersion: '', operatingSystem: 'linux', osImage: facts.osImage, systemUUID: facts.systemUuid,
        ...(facts.swapBytes > 0 ? { swap: { capacity: facts.swapBytes } } : {}),
      },
    };
  }

  /** The largest ones, as upstream: digests and tags, five names at most. */
  async #currentImages(): Promise<NonNullable<NodeStatus['images']>> {
    const { runtime, maxImages, log } = this.#options;
    try {
      const { images } = await runtime.images.listImages({}, { timeoutMs: 5_000 });
      const next = images.map(({ repoDigests, repoTags, size }) => ({ names: [...repoDigests, ...repoTags].slice(0, 5), sizeBytes: size }))
        .filter(({ names }) => names.length > 0).sort((left, right) => right.sizeBytes - left.sizeBytes).slice(0, maxImages < 0 ? undefined : maxImages);
      const text = JSON.stringify(next);
      if (text !== this.#imagesText) [this.#imagesText, this.#images] = [text, next];
    } catch (error) {
      log.debug({ err: error }, 'cannot list images'); // what is known stays in the status
    }
    return this.#images;
  }

  async #renewForEver(): Promise<void> {
    const { api, clock, log, name, random, leaseDurationSeconds, signal } = this.#options;
    const everyMs = (leaseDurationSeconds * 1000) / RENEWALS_PER_LEASE;
    let lease: Lease | undefined;
    let failures = 0;
    let bytesBefore = api.bytesRead;
    const streak = new FailureStreak('k8s.io/kubelet', 'renew node lease', { [attribute.resource]: 'coordination.k8s.io/leases', [attribute.namespace]: LEASE_NAMESPACE, [attribute.objectName]: name, [attribute.nodeName]: name });
    while (!signal.aborted) {
      let waitMs = jitterMs(random, everyMs, 0.04);
      try {
        lease = await this.#renew(lease);
        streak.worked();
        if (failures > 0) await this.#lookAfterSilence();
        failures = 0;
        bytesBefore = api.bytesRead;
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
        lease = undefined;
        streak.failed(error);
        failures += 1;
        log.warn({ err: error }, 'failed to update node lease, will retry');
        // The network between may have been cut, and what is open hang for minutes. Source: kubelet_node_status.go, onRepeatedHeartbeatFailure.
        // Upstream's does it in any case; here a server that is only slow, on a machine that has too much to do, is not made slower.
        if (failures > 1 && error instanceof TransportError && api.bytesRead === bytesBefore) api.dropConnections();
        bytesBefore = api.bytesRead;
        waitMs = Math.min(waitMs, 1_000);
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** Meanwhile the node may have been called lost, which the watch tells later. Upstream's kubelet asks each time it looks. */
  async #lookAfterSilence(): Promise<void> {
    const { api, name, signal } = this.#options;
    try {
      this.#take(await api.get(nodeKind, undefined, name, { signal, timeoutMs: this.#heartbeatTimeoutMs }));
      this.#wake?.();
    } catch (error) {
      if (!isNotFound(error)) throw error; // deleted, which is the watch's to tell
    }
  }

  /** Source: cmd/kubelet/app/server.go, heartbeatClientConfig. */
  get #heartbeatTimeoutMs(): number {
    const { updateFrequencyMs, leaseDurationSeconds } = this.#options;
    return Math.min(updateFrequencyMs, leaseDurationSeconds * 1000);
  }

  async #renew(known: Lease | undefined): Promise<Lease> {
    const { api, name, clock, leaseDurationSeconds } = this.#options;
    const options = { signal: this.#options.signal, timeoutMs: this.#heartbeatTimeoutMs };
    const spec = { holderIdentity: name, leaseDurationSeconds, renewTime: formatMicroTime(clock.nowMs()) };
    const uid = this.#node?.metadata.uid;
    const ownerReferences = uid === undefined ? undefined : [{ apiVersion: 'v1', kind: 'Node', name, uid }];
    try {
      const lease = known ?? await api.get(leaseKind, LEASE_NAMESPACE, name, options);
      return await api.update(leaseKind, { ...lease, metadata: { ...lease.metadata, ...(ownerReferences ? { ownerReferences } : {}) }, spec: { ...lease.spec, ...spec } }, options);
    } catch (error) {
      if (isConflict(error) && known) return this.#renew(undefined);
      if (!isNotFound(error)) throw error;
    }
    return api.create(leaseKind, { metadata: { name, namespace: LEASE_NAMESPACE, ...(ownerReferences ? { ownerReferences } : {}) }, spec }, options);
  }
}

/** Resources that plugins put there: kept. */
const extended = (resources: Record<string, string> | undefined): Record<string, string> => Object.fromEntries(Object.entries(resources ?? {}).filter(([name]) => name.includes('/')));

/** Addresses and conditions are merged by type, so those that went are deleted by name; everything else is replaced. */
function patchOf(before: NodeStatus, after: NodeStatus): Record<string, unknown> {
  const gone = (before.addresses ?? []).filter(({ type }) => !after.addresses?.some((one) => one.type === type)).map(({ type }) => ({ $patch: 'delete', type }));
  return { ...after, addresses: [...(after.addresses ?? []), ...gone] };
}
