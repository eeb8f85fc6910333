// Puts spans together to the story of one object: who did what to it, on which host, when, and what made them do it.
// Within a process and from request to request spans know their parents. Across a watch nothing is passed on: there the
// resourceVersion that was acted on leads to the write that made it.
import { attribute } from '#lib/tracing/attributes.ts';
import type { SpanValue, TraceSpan } from './trace-span.ts';

export interface Subject {
  /** As in spans: `pods`, `apps/deployments`. */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string;
}

export interface StoryObject extends Subject {
  readonly uid: string;
  /** Why it is in the story: asked for; made by what was asked for; led to it; has it among its endpoints; it runs there. */
  readonly relation: 'subject' | 'descendant' | 'cause' | 'endpoints' | 'node';
}

/** The seven steps from a request to a running pod, by number. */
export type StepNumber = 1 | 2 | 3 | 4 | 5 | 6 | 7;

export interface Step {
  readonly atMs: number;
  readonly durationMs: number;
  readonly host: string;
  /** A process, or who asked from outside. */
  readonly component: string;
  /** 0: somebody who decides; below it what he led to. */
  readonly depth: 0 | 1 | 2;
  readonly step: StepNumber | undefined;
  readonly what: string;
  readonly resourceVersionRead: string | undefined;
  readonly resourceVersionWritten: string | undefined;
  /** Since the write that was acted on, or since the step above. */
  readonly delayMs: number | undefined;
  readonly error: string | undefined;
  readonly traceId: string;
  readonly spanId: string;
}

export interface Story {
  readonly subject: StoryObject;
  readonly objects: readonly StoryObject[];
  readonly steps: readonly Step[];
  /** Earlier objects of the same name. */
  readonly earlier: number;
}

export interface StoryOptions {
  /** With the Events that were written about the objects. */
  readonly withEvents?: boolean;
  /** Address to host, for who asks from one of them. */
  readonly hostOf?: (address: string) => string | undefined;
}

const text = (value: SpanValue | undefined): string => (value === undefined ? '' : String(value));
const list = (value: SpanValue | undefined): readonly string[] => (Array.isArray(value) ? value.map(String) : []);
/** What a node's status says over and over: that it is there, and its images. */
const HEARTBEATS: ReadonlySet<string> = new Set(['', 'status']);

const isEvents = (resource: string): boolean => resource === 'events' || resource === 'events.k8s.io/events';

/** A write of an object to etcd. */
interface Write {
  readonly span: TraceSpan;
  /** The request that led to it. */
  readonly request: TraceSpan | undefined;
  /** The work that the request was part of. */
  readonly act: TraceSpan;
  readonly etcd: TraceSpan | undefined;
  readonly uid: string;
  readonly version: number;
  readonly object: Subject;
  readonly owners: readonly string[];
  readonly about: readonly string[];
  /** When others could see it. */
  readonly seenMs: number;
}

class SpanIndex {
  readonly spans: readonly TraceSpan[];
  readonly #byId: ReadonlyMap<string, TraceSpan>;
  readonly #children = new Map<string, TraceSpan[]>();
  readonly writes: readonly Write[];
  readonly #writesOf = new Map<string, Write[]>();

  constructor(spans: readonly TraceSpan[]) {
    this.spans = [...spans].sort((a, b) => a.startMs - b.startMs);
    this.#byId = new Map(spans.map((span) => [span.spanId, span]));
    for (const span of this.spans) {
      if (span.parentSpanId === undefined) continue;
      const siblings = this.#children.get(span.parentSpanId);
      if (siblings) siblings.push(span);
      else this.#children.set(span.parentSpanId, [span]);
    }
    this.writes = this.spans.flatMap((span) => this.#write(span) ?? []);
    for (const write of this.writes) {
      const own = this.#writesOf.get(write.uid);
      if (own) own.push(write);
      else this.#writesOf.set(write.uid, [write]);
    }
  }

  byId(id: string): TraceSpan | undefined {
    return this.#byId.get(id);
  }
  children({ spanId }: TraceSpan): readonly TraceSpan[] {
    return this.#children.get(spanId) ?? [];
  }
  writesOf(uid: string): readonly Write[] {
    return this.#writesOf.get(uid) ?? [];
  }
  parent({ parentSpanId }: TraceSpan): TraceSpan | undefined {
    return parentSpanId === undefined ? undefined : this.#byId.get(parentSpanId);
  }
  root(span: TraceSpan): TraceSpan {
    let at = span;
    for (let above = this.parent(at); above; above = this.parent(at)) at = above;
    return at;
  }

  #write(span: TraceSpan): Write | undefined {
    const { attributes } = span;
    const [uid, version] = [text(attributes[attribute.uid]), Number(attributes[attribute.versionWritten])];
    if (uid === '' || !Number.isSafeInteger(version) || !span.name.endsWith(' etcd3')) return undefined;
    const etcd = this.children(span).find(({ service, name }) => service === 'etcd' && name.startsWith('etcdserverpb.KV/'));
    const request = this.parent(span);
    return {
      span, request: request?.kind === 'server' ? request : undefined, act: this.root(span), etcd, uid, version,
      object: subjectOf(span), owners: list(attributes[attribute.owners]), about: list(attributes[attribute.about]), seenMs: etcd?.endMs ?? span.endMs,
    };
  }

  /** The write that somebody acted on who had seen an object in this version, and who does not follow his own writes. */
  writeBehind(uid: string, version: number, reader: TraceSpan): Write | undefined {
    return this.writesOf(uid).findLast((write) => write.version <= version && !isSameActor(write.act, reader));
  }
}

function subjectOf({ attributes }: TraceSpan): Subject {
  const namespace = text(attributes[attribute.namespace]);
  return { resource: text(attributes[attribute.resource]), namespace: namespace === '' ? undefined : namespace, name: text(attributes[attribute.objectName]) };
}

function isSameActor(one: TraceSpan, other: TraceSpan): boolean {
  return one.service === other.service && one.host === other.host && one.name === other.name && one.attributes[attribute.controller] === other.attributes[attribute.controller]
    && one.kind !== 'server'; // what an API server did on behalf of many
}

const isSame = (a: Subject, b: Subject): boolean => a.resource === b.resource && a.name === b.name && (a.namespace ?? '') === (b.namespace ?? '');

/** Undefined: no span tells of it. Of several objects of that name, the last. */
export function tellStory(spans: readonly TraceSpan[], subject: Subject, { withEvents = false, hostOf = () => undefined }: StoryOptions = {}): Story | undefined {
  const index = new SpanIndex(spans);
  const uids = [...new Set(index.writes.filter(({ object }) => isSame(object, subject)).map(({ uid }) => uid))];
  const uid = uids.at(-1);
  if (uid === undefined) return undefined;
  const teller = new Teller(index, { ...subject, uid, relation: 'subject' }, { withEvents, hostOf });
  return { subject: { ...subject, uid, relation: 'subject' }, ...teller.tell(), earlier: uids.length - 1 };
}

class Teller {
  readonly #index: SpanIndex;
  readonly #options: Required<StoryOptions>;
  readonly #objects = new Map<string, StoryObject>();
  /** What is told of each piece of work: the writes, or nothing but that it was done. */
  readonly #acts = new Map<TraceSpan, Set<Write>>();
  readonly #told = new Set<TraceSpan>();

  constructor(index: SpanIndex, subject: StoryObject, options: Required<StoryOptions>) {
    this.#index = index;
    this.#options = options;
    this.#objects.set(subject.uid, subject);
  }

  tell(): { objects: readonly StoryObject[]; steps: readonly Step[] } {
    this.#findDescendants();
    for (const write of this.#index.writes) this.#considerWrite(write);
    for (const span of this.#index.spans) this.#considerWork(span);
    this.#findNode();
    for (const act of [...this.#acts.keys()]) this.#follow(act);
    this.#findProxies();
    this.#findNotes();
    const steps = [...this.#acts].sort(([a], [b]) => a.startMs - b.startMs).flatMap(([act, writes]) => this.#stepsOf(act, writes));
    return { objects: [...this.#objects.values()], steps };
  }

  #isOwn(uid: string): boolean {
    const relation = this.#objects.get(uid)?.relation;
    return relation === 'subject' || relation === 'descendant';
  }

  #findDescendants(): void {
    // Owners are written before what they own.
    for (const { uid, owners, object } of this.#index.writes) {
      if (this.#objects.has(uid) || isEvents(object.resource) || object.resource.endsWith('endpointslices') || object.resource.endsWith('/controllerrevisions')) continue;
      if (owners.some((owner) => this.#isOwn(owner))) this.#objects.set(uid, { ...object, uid, relation: 'descendant' });
    }
  }

  #considerWrite(write: Write): void {
    const { uid, object, about } = write;
    if (isEvents(object.resource)) {
      if (this.#options.withEvents && about.some((one) => this.#isOwn(one))) this.#add(write.act, write);
    } else if (this.#isOwn(uid)) this.#add(write.act, write);
    else if (about.some((one) => this.#isOwn(one))) {
      if (!this.#objects.has(uid)) this.#objects.set(uid, { ...object, uid, relation: 'endpoints' });
      this.#add(write.act, write);
    }
  }

  #add(act: TraceSpan, write?: Write): void {
    const writes = this.#acts.get(act) ?? new Set<Write>();
    this.#acts.set(act, writes);
    if (write) writes.add(write);
  }

  /** Work on the objects that wrote nothing, and requests that were refused. */
  #considerWork(span: TraceSpan): void {
    const { attributes } = span;
    if (span.kind === 'server' && Number(attributes[attribute.httpStatus]) >= 400) {
      const asked = { ...subjectOf(span), resource: text(attributes[attribute.resource]).replace(RegExp('^((?:[^/]*\\.)?[^/.]+(?:/[^/]+)?)/(status|binding|scale|eviction|finalize|ephemeralcontainers|resize)$'), '$1') };
      if ([...this.#objects.values()].some((object) => object.relation !== 'cause' && isSame(object, asked))) this.#tell(this.#index.root(span), span);
      return;
    }
    if (span.parentSpanId === undefined && span.kind === 'internal' && this.#isOwn(text(attributes[attribute.uid])) && (span.service === 'kube-scheduler' || (span.service === 'kubelet' && (span.name === 'probe' || this.#hasCalls(span))))) this.#add(span);
    if (span.error !== undefined && span.parentSpanId === undefined && this.#isOwn(text(attributes[attribute.uid]))) this.#add(span);
    if (span.kind === 'client' && span.name.startsWith('HTTP ') && this.#acts.has(this.#index.root(span))) this.#tell(this.#index.root(span), span);
  }

  #tell(act: TraceSpan, span: TraceSpan): void {
    this.#add(act);
    this.#told.add(span);
  }

  #hasCalls(span: TraceSpan): boolean {
    return this.#index.children(span).some(({ name }) => name.startsWith('runtime.v1.'));
  }

  /** The nodes that pods of the story were put on: what became of them meanwhile. */
  #findNode(): void {
    for (const span of this.#index.spans) {
      const node = text(span.attributes[attribute.nodeName]);
      if (span.service !== 'kube-scheduler' || node === '' || !this.#isOwn(text(span.attributes[attribute.uid]))) continue;
      for (const write of this.#index.writes) {
        if (write.object.resource !== 'nodes' || write.object.name !== node || write.seenMs < span.startMs || HEARTBEATS.has(text(write.span.attributes[attribute.what]))) continue;
        if (!this.#objects.has(write.uid)) this.#objects.set(write.uid, { ...write.object, uid: write.uid, relation: 'node' });
        this.#add(write.act, write);
      }
    }
  }

  /** Goes back from what somebody acted on to who had written it, as far as it can be followed. */
  #follow(act: TraceSpan): void {
    const write = this.#causeOf(act);
    if (!write) return;
    const { uid, object } = write;
    if (!this.#objects.has(uid)) this.#objects.set(uid, { ...object, uid, relation: 'cause' });
    const isKnown = this.#acts.has(write.act);
    this.#add(write.act, write);
    if (!isKnown) this.#follow(write.act);
  }

  #causeOf(act: TraceSpan): Write | undefined {
    const [uid, version] = [text(act.attributes[attribute.uid]), Number(act.attributes[attribute.versionRead])];
    return uid === '' || Number.isNaN(version) ? undefined : this.#index.writeBehind(uid, version, act);
  }

  /** Each kube-proxy's first sync that had seen a change of the endpoints. */
  #findProxies(): void {
    const writes = [...this.#acts.values()].flatMap((own) => [...own]).filter(({ uid }) => this.#objects.get(uid)?.relation === 'endpoints');
    if (writes.length === 0) return;
    const syncs = this.#index.spans.filter(({ service, name }) => service === 'kube-proxy' && name === 'syncProxyRules');
    for (const write of writes) {
      const served = new Set<string>();
      for (const sync of syncs) {
        const hasSeen = list(sync.attributes[attribute.objectsRead]).some((read) => {
          const [uid, version] = read.split('@');
          return uid === write.uid && Number(version) >= write.version;
        });
        if (!hasSeen || served.has(sync.host)) continue;
        served.add(sync.host);
        this.#add(sync);
        this.#seen.set(sync, write);
      }
    }
  }
  readonly #seen = new Map<TraceSpan, Write>();

  /** What befell the components meanwhile, on the hosts of the story: starts, leases, leaders, routes. */
  #findNotes(): void {
    const firstMs = Math.min(...[...this.#acts.keys()].map(({ startMs }) => startMs));
    const last = this.#index.writesOf([...this.#objects.keys()][0] ?? '').at(-1);
    const lastMs = last && text(last.span.attributes[attribute.what]) === 'removed' ? last.seenMs : Infinity;
    const nodes = [...this.#objects.values()].filter(({ resource }) => resource === 'nodes').map(({ name }) => name);
    const hosts = new Set([...[...this.#acts.keys()].map(({ host }) => host), ...nodes]);
    for (const span of this.#index.spans) {
      if (span.parentSpanId !== undefined || span.endMs < firstMs || span.startMs > lastMs || this.#acts.has(span) || !hosts.has(span.host)) continue;
      const about = text(span.attributes[attribute.uid]);
      if (about === '' && span.kind === 'internal' && span.name !== 'run' && span.name !== 'reconcile' && span.name !== 'syncProxyRules') this.#add(span);
    }
  }

  #stepsOf(act: TraceSpan, writes: ReadonlySet<Write>): Step[] {
    const cause = this.#seen.get(act) ?? this.#causeOf(act);
    const isRequest = act.kind === 'server' && act.service === 'kube-apiserver';
    const step = this.#stepOf(act, writes);
    const version = text(act.attributes[attribute.versionRead]);
    const linked = act.links.map(({ spanId }) => this.#index.byId(spanId)).find((span) => span !== undefined);
    const head: Step = {
      ...timesOf(act), host: isRequest ? this.#hostOfClient(act) : act.host, component: isRequest ? clientName(act) : act.service, depth: 0, step,
      what: isRequest ? `as ${text(act.attributes[attribute.userName])}` : this.#describe(act), error: isRequest ? undefined : act.error,
      resourceVersionRead: cause ? String(cause.version) : version === '' ? undefined : version, resourceVersionWritten: undefined,
      delayMs: cause ? act.startMs - cause.seenMs : linked ? act.startMs - linked.startMs : undefined, traceId: act.traceId, spanId: act.spanId,
    };
    return [head, ...this.#below(act, writes, step)];
  }

  #below(act: TraceSpan, writes: ReadonlySet<Write>, step: StepNumber | undefined): Step[] {
    const requests = new Map<TraceSpan, Write[]>();
    for (const write of writes) {
      const request = write.request ?? write.span;
      requests.set(request, [...requests.get(request) ?? [], write]);
    }
    for (const span of this.#told) if (this.#index.root(span) === act && !requests.has(span)) requests.set(span, []);
    const calls = this.#index.children(act).filter(({ name }) => name.startsWith('runtime.v1.'));
    const parts = [...[...requests].map(([request, own]) => ({ atMs: request.startMs, steps: () => this.#requestSteps(request, own, step, act) })), ...calls.map((call) => ({ atMs: call.startMs, steps: () => this.#callSteps(call, act) }))];
    return parts.sort((a, b) => a.atMs - b.atMs).flatMap(({ steps }) => steps());
  }

  #requestSteps(request: TraceSpan, writes: readonly Write[], step: StepNumber | undefined, act: TraceSpan): Step[] {
    const { attributes } = request;
    const code = Number(attributes[attribute.httpStatus]);
    const what = request.kind === 'client' ? `${request.name} ${text(attributes[attribute.urlPath])}` : [
      text(attributes[attribute.httpMethod]), objectText(writes[0]?.object ?? subjectOf(request), text(attributes[attribute.resource])), ...(code >= 400 ? [`refused: ${code}`] : []),
    ].filter((word) => word !== '').join(' ');
    const told = writes.map(({ span }) => text(span.attributes[attribute.what])).filter((one) => one !== '').join('; ');
    const from = { traceId: request.traceId, spanId: request.spanId };
    const top: Step = {
      ...timesOf(request), ...from, host: request.host, component: request.service, depth: 1, step: undefined, what: told === '' ? what : `${what}: ${told}`, resourceVersionRead: undefined,
      resourceVersionWritten: writes.some(({ etcd }) => etcd) ? undefined : writes.map(({ version }) => version).join() || undefined,
      delayMs: request === act ? undefined : request.startMs - act.startMs, error: request.kind === 'client' || code >= 500 ? request.error ?? `status ${code}` : undefined,
    };
    return [top, ...writes.flatMap(({ etcd, version }): Step[] => (!etcd ? [] : [{
      ...timesOf(etcd), traceId: etcd.traceId, spanId: etcd.spanId, host: etcd.host, component: etcd.service, depth: 2, step: step === 1 ? 2 : undefined, what: `${etcd.name.split('/')[1] ?? ''}, written`,
      resourceVersionRead: undefined, resourceVersionWritten: String(version), delayMs: etcd.startMs - request.startMs, error: etcd.error,
    }]))];
  }

  #callSteps(call: TraceSpan, act: TraceSpan): Step[] {
    // The runtime's own word, where it speaks.
    const span = this.#index.children(call).find(({ kind }) => kind === 'server') ?? call;
    const subject = text(span.attributes[attribute.containerName]) || (span.name.includes('Image') ? text(span.attributes[attribute.what]) : '');
    return [{
      ...timesOf(span), traceId: span.traceId, spanId: span.spanId, host: span.host, component: span === call ? 'container runtime' : span.service, depth: 1, step: act.name === 'syncPod' ? 6 : undefined,
      what: [span.name.split('/')[1] ?? span.name, ...(subject === '' ? [] : [subject])].join(' '), resourceVersionRead: undefined, resourceVersionWritten: undefined,
      delayMs: span.startMs - act.startMs, error: span.error,
    }];
  }

  #stepOf({ service, name, kind, attributes }: TraceSpan, writes: ReadonlySet<Write>): StepNumber | undefined {
    if (kind === 'server') return isComponent(text(attributes[attribute.userName])) ? undefined : 1;
    const hasCreated = [...writes].some(({ uid, span }) => span.name === 'Create etcd3' && this.#objects.get(uid)?.relation !== 'endpoints');
    if (service === 'kube-controller-manager' && name === 'reconcile' && hasCreated) return 3;
    if (service === 'kube-scheduler' && name === 'Scheduling') return 4;
    if (service === 'kubelet' && name === 'syncPod') return 5;
    if (service === 'kubelet' && name === 'syncPodStatus') return 7;
    return undefined;
  }

  #describe({ name, attributes }: TraceSpan): string {
    const controller = text(attributes[attribute.controller]);
    const what = text(attributes[attribute.what]);
    const subject = subjectOf({ attributes } as TraceSpan);
    const object = subject.name === '' ? '' : objectText(subject, subject.resource);
    if (controller !== '') return `${controller}${object === '' ? '' : `: ${object}`}`;
    return [name, object, what === '' ? '' : `(${what})`].filter((word) => word !== '').join(' ');
  }

  #hostOfClient({ attributes }: TraceSpan): string {
    return this.#options.hostOf(text(attributes[attribute.clientAddress])) ?? text(attributes[attribute.clientAddress]);
  }
}

const timesOf = ({ startMs, endMs }: TraceSpan): Pick<Step, 'atMs' | 'durationMs'> => ({ atMs: startMs, durationMs: endMs - startMs });

const objectText = ({ name }: Subject, resource: string): string => {
  const plain = resource.replace(/^[^/]*\.[^/]*\//, '').replace(/^(apps|batch|policy|autoscaling|extensions)\//, '');
  const [plural = '', subresource = ''] = plain.split('/');
  return [plural, name, subresource].filter((word) => word !== '').join('/');
};

const isComponent = (user: string): boolean => user.startsWith('system:');

/** `kubectl/v1.33.1 (linux/amd64) kubernetes/8adc0f0` => kubectl; a controller's own name stands last. */
function clientName({ attributes }: TraceSpan): string {
  const agent = text(attributes[attribute.userAgent]);
  const own = /\) kubernetes\/[^/]+\/(.+)$/.exec(agent)?.[1];
  return own ?? agent.split('/')[0] ?? 'unknown';
}
