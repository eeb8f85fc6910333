// kubreak replay: does to a cluster what a recording says was done to another, in the same order and at the same distances.
import { connectToApiserver, TransportError, type ApiClient } from '#lib/api-client/client.ts';
import type { HttpMethod } from '#lib/api-client/transport.ts';
import { systemClock, type Clock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { healFault, makeFault } from '../faults/make-and-heal.ts';
import { UserError } from '../user-error.ts';
import type { RecordedStep, RecordedWrite, Recording } from './recording.ts';

export interface ReplayOptions {
  /** 2: in half the time; Infinity: one after the other without a pause. */
  readonly speed: number;
  readonly skipUsers: readonly string[];
  readonly onStep: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface ReplayReport {
  readonly writes: number;
  readonly faults: number;
  readonly skipped: number;
  /** What came out otherwise than recorded, as it is told. */
  readonly differences: readonly string[];
  /** Ids of faults that the recording does not heal. */
  readonly stillBroken: readonly string[];
  /** The farthest that a step was behind its time; milliseconds. */
  readonly lateMs: number;
}

export async function replay(cluster: ClusterAccess, recording: Recording, options: ReplayOptions): Promise<ReplayReport> {
  const access = await loadKubeconfig(await cluster.kubeconfig());
  const clients = new Map<string, ApiClient>();
  /** Who writes as which program owns fields under its name. */
  const clientFor = (userAgent = ''): ApiClient => {
    const program = userAgent.split('/')[0] || 'kubreak';
    const client = clients.get(program) ?? connectToApiserver(access, program);
    clients.set(program, client);
    return client;
  };
  const player = new Player(cluster, clientFor, options);
  try {
    return await player.play(recording, systemClock);
  } finally {
    await Promise.all([...clients.values()].map((client) => client.close()));
  }
}

const METHODS: Readonly<Record<string, HttpMethod>> = { create: 'POST', update: 'PUT', patch: 'PATCH', delete: 'DELETE', deletecollection: 'DELETE' };
const UID = /"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"/g;

/** `clientFor`: somebody who may do everything, by the name of the program that wrote. */
export class Player {
  readonly #cluster: ClusterAccess;
  readonly #clientFor: (userAgent: string | undefined) => ApiClient;
  readonly #options: ReplayOptions;
  /** Of the recorded cluster to this one's, with their quotes. */
  readonly #uids = new Map<string, string>();
  readonly #faults = new Map<string, string>();
  readonly #differences: string[] = [];
  #counts = { writes: 0, faults: 0, skipped: 0 };

  constructor(cluster: ClusterAccess, clientFor: (userAgent: string | undefined) => ApiClient, options: ReplayOptions) {
    this.#cluster = cluster;
    this.#clientFor = clientFor;
    this.#options = options;
  }

  async play({ steps }: Recording, clock: Clock): Promise<ReplayReport> {
    const { speed, signal } = this.#options;
    const startMs = clock.nowMs();
    let lateMs = 0;
    for (const step of steps) {
      const dueMs = startMs + step.atMs / speed;
      if (dueMs > clock.nowMs()) await clock.sleep(dueMs - clock.nowMs(), signal);
      signal.throwIfAborted();
      if (speed !== Infinity) lateMs = Math.max(lateMs, clock.nowMs() - dueMs);
      const at = `t+${(step.atMs / 1000).toFixed(1)}s`;
      try {
        this.#options.onStep(`${at} ${await this.#take(step)}`);
      } catch (error) {
        if (!(error instanceof StatusError) && !(error instanceof TransportError) && !(error instanceof UserError)) throw error;
        const line = `${at} ${titleOf(step)}: ${error instanceof StatusError ? `${error.code} instead of ${step.type === 'write' ? step.code : 200}: ` : ''}${error.message}`;
        this.#differences.push(line);
        this.#options.onStep(line);
      }
    }
    return { ...this.#counts, differences: this.#differences, stillBroken: [...this.#faults.values()], lateMs };
  }

  /** Returns what is to be told. */
  async #take(step: RecordedStep): Promise<string> {
    const title = titleOf(step);
    switch (step.type) {
      case 'write': return this.#write(step);
      case 'fault': {
        const { speed } = this.#options;
        this.#counts.faults += 1;
        const made = await makeFault(this.#cluster, step.kind, { args: step.args, options: step.options }, step.forMs === undefined ? undefined : Math.max(1, step.forMs / (speed === Infinity ? 1 : speed)));
        if (made.isOver !== true) this.#faults.set(step.id, made.id);
        return `${title} (${made.id})`;
      }
      case 'heal': {
        const id = this.#faults.get(step.id);
        this.#faults.delete(step.id);
        if (id === undefined) return `${title}: not there`;
        await healFault(this.#cluster, { id });
        return `heal ${id}`;
      }
      case 'lever':
        if (step.name === 'resume') await this.#cluster.signal(step.target, 'SIGCONT');
        else if (step.name === 'start') await this.#cluster.start(step.target);
        else if (step.name === 'reboot') await this.#cluster.reboot(step.target);
        else await this.#cluster.powerOn(step.target);
        return title;
    }
  }

  async #write(step: RecordedWrite): Promise<string> {
    const title = titleOf(step);
    const reason = this.#reasonToSkip(step);
    if (reason !== undefined) {
      this.#counts.skipped += 1;
      return `${title}: skipped, ${reason}`;
    }
    this.#counts.writes += 1;
    const api = this.#clientFor(step.userAgent);
    const body = await this.#bodyOf(step, api);
    const answer = await api.request<{ readonly metadata?: { readonly uid?: string } }>(METHODS[step.verb] ?? 'POST', step.uri, body, { signal: this.#options.signal }, step.contentType);
    if (step.uid !== undefined && answer?.metadata?.uid !== undefined) this.#uids.set(`"${step.uid}"`, `"${answer.metadata.uid}"`);
    return title;
  }

  #reasonToSkip({ user, verb, body }: RecordedWrite): string | undefined {
    if (this.#options.skipUsers.some((pattern) => (pattern.endsWith('*') ? user.startsWith(pattern.slice(0, -1)) : user === pattern))) return `it was ${user}'s`;
    if (body === undefined && METHODS[verb] !== 'DELETE') return 'its body was not recorded';
    return METHODS[verb] === undefined ? `the verb ${verb} is not known` : undefined;
  }

  /** As it was sent, but with the names and identities that objects have here. */
  async #bodyOf({ verb, uri, body, name }: RecordedWrite, api: ApiClient): Promise<unknown> {
    if (body === undefined) return undefined;
    const text = JSON.stringify(body).replace(UID, (uid) => this.#uids.get(uid) ?? uid);
    const copy = JSON.parse(text) as { metadata?: { name?: string; generateName?: string; resourceVersion?: string; uid?: string } } | { readonly path?: unknown; value?: unknown }[];
    if (Array.isArray(copy)) {
      // kubectl's patch that takes over the fields of client-side apply insists on a version.
      const operation = copy.find(({ path, value }) => path === '/metadata/resourceVersion' && value !== undefined);
      if (operation) operation.value = (await this.#current(uri, api)).resourceVersion;
      return copy;
    }
    if (!copy.metadata) return copy;
    const { metadata } = copy;
    if (verb === 'create' && metadata.generateName !== undefined && name !== undefined) {
      metadata.name = name; // what comes later says this name
      delete metadata.generateName;
    }
    if (metadata.resourceVersion !== undefined && verb !== 'create') {
      // It was the newest one when the write was taken; here that is another.
      const { resourceVersion, uid } = await this.#current(uri, api);
      metadata.resourceVersion = resourceVersion;
      if (metadata.uid !== undefined) metadata.uid = uid;
    }
    return copy;
  }

  async #current(uri: string, api: ApiClient): Promise<{ readonly resourceVersion: string; readonly uid: string }> {
    const path = (uri.split('?')[0] ?? '').replace(/\/(status|finalize|scale)$/, '');
    return (await api.request<{ readonly metadata: { readonly resourceVersion: string; readonly uid: string } }>('GET', path, undefined, { signal: this.#options.signal })).metadata;
  }
}

function titleOf(step: RecordedStep): string {
  switch (step.type) {
    case 'write': return `${step.verb} ${step.uri.split('?')[0] ?? ''}${step.verb === 'create' && step.name !== undefined && !step.uri.includes(`/${step.name}/`) ? ` ${step.name}` : ''}`;
    case 'fault': return [step.kind, ...step.args, ...Object.entries(step.options).map(([key, value]) => (value === true ? `--${key}` : `--${key} ${String(value)}`))].join(' ');
    case 'heal': return `heal ${step.id}`;
    case 'lever': return `${step.name} ${step.target}`;
  }
}
