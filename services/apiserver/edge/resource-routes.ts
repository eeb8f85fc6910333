// Every request under /api and /apis that names a resource: finds the kind and the operation, and carries it out.
import { once } from 'node:events';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { WebSocketServer } from 'ws';
import type { Clock } from '#lib/environment/clock.ts';
import { integerBelow, type Random } from '#lib/environment/random.ts';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { DeleteOptions } from '#lib/kinds/types/meta-v1.ts';
import { badRequest, failure, internalError, invalidObject, methodNotAllowed, notFound, resourceNotServed, StatusError } from '#lib/machinery/status-error.ts';
import { formatTime } from '#lib/machinery/time.ts';
import { FINALIZER_ORPHAN } from '../core/lifecycle/delete.ts';
import type { UpdateRules } from '../core/lifecycle/write.ts';
import { keyOf } from '../core/codec.ts';
import { selectionOf, type Selection } from '../core/selection.ts';
import { objectSubresources } from '../core/subresource-rules.ts';
import { decodeStructure, StructureError } from '../core/schema.ts';
import { parseIncludeObject } from '../core/table.ts';
import type { ApiFaults } from '../core/faults/api-faults.ts';
import { CacheEntry } from '../core/watch-cache.ts';
import type { CustomResources } from '../extensions/custom-resources.ts';
import { sendList, sendObject, sendPlainObject, success, type AnswerForm } from './answer.ts';
import { cannotBeHandled, decodeObject, parseBody, parseFieldValidation, type DecodeOptions, type RawBody } from './body.ts';
import type { ApiserverExtension, BodyDecoder, BodyKind, ConnectHandler, ObjectHandler, ResourceCall, VirtualKind } from './extension.ts';
import { watchFaultsOf } from './faults/misbehave.ts';
import { listObjects, waitForRevision, type ListServices } from './list.ts';
import { negotiate } from './negotiation.ts';
import type { ObjectStore, WriteContext } from './object-store.ts';
import { isApplyRequest, parsePatch, patchTargetOf, preparePatch, type PatchOptions } from './patch-request.ts';
import { fieldManagerOf, parseDryRun, pendingUpgrade, warn } from './pipeline.ts';
import { podAndNamespaceSubresources, scaleSubresource, type SubresourceHandler } from './subresources.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import { forbidden, invalid, notSupported, required, type FieldError } from '#lib/machinery/field-error.ts';
import { refused } from '../access/forbidden.ts';
import type { Authorizer } from '../core/access.ts';
import { parseResourceVersion, responseSink, serveWatch, webSocketSink, type WatchRequest } from './watch.ts';

export interface ResourceServices extends ListServices {
  readonly kinds: readonly AnyKind[];
  readonly store: ObjectStore;
  readonly objects: ObjectReader;
  readonly authorizer: Authorizer;
  readonly customResources?: CustomResources;
  readonly extensions: readonly ApiserverExtension[];
  readonly clock: Clock;
  readonly random: Random;
  /** --min-request-timeout */
  readonly minRequestTimeoutMs: number;
  readonly onWatch: (kind: AnyKind, difference: 1 | -1) => void;
  readonly onWatchCut: (kind: AnyKind) => void;
  readonly apiFaults?: ApiFaults;
}

/** Deletions of these answer with the last state instead of a Status. Source: ReturnDeletedObject of pkg/registry/core. */
const RETURNS_DELETED: ReadonlySet<string> = new Set(['pods', 'services', 'serviceaccounts', 'persistentvolumes', 'persistentvolumeclaims', 'podtemplates', 'resourcequotas', 'replicationcontrollers']);
/** Deletions of a collection that run at once. */
const DELETE_WORKERS = 10;
const DELETE_OPTIONS: BodyKind = { group: '', version: 'v1', kind: 'DeleteOptions', schema: 'io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions' };

/** What the options of a write are called in errors. */
const OPTIONS_KINDS: Readonly<Record<string, string>> = { POST: 'CreateOptions', PUT: 'UpdateOptions', PATCH: 'PatchOptions' };

/** Source: strconv.ParseInt(text, 10, 64). Throws BadRequest. */
function integer(query: URLSearchParams, name: string): number {
  const text = query.get(name);
  if (text === null) return 0;
  const refuse = (problem: string): StatusError => badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: ${problem}`);
  if (!/^[+-]?\d+$/.test(text)) throw refuse('invalid syntax');
  if (Math.abs(Number(text)) >= 2 ** 63) throw refuse('value out of range');
  return Number(text);
}

const invalidOptions = (kind: string, problems: readonly FieldError[]): StatusError => invalidObject({ group: 'meta.k8s.io', kind }, '', [...problems]);

const handlerKey = (group: string, resource: string, subresource: string, verb = ''): string => `${group}/${resource}/${subresource}/${verb}`;

/** Everything that a handler of one request wants to know. */
interface Operation {
  readonly kind: AnyKind;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

export class ResourceRoutes {
  readonly #services: ResourceServices;
  readonly #kinds = new Map<string, AnyKind>();
  readonly #groupVersions = new Set<string>();
  readonly #connect = new Map<string, ConnectHandler>();
  readonly #objectHandlers = new Map<string, ObjectHandler>();
  readonly #virtual = new Map<string, VirtualKind>();
  readonly #decoders: readonly BodyDecoder[];
  readonly #subresources: ReadonlyMap<string, SubresourceHandler>;
  readonly #objectSubresources: ReturnType<typeof objectSubresources>;
  readonly #webSockets = new WebSocketServer({ noServer: true, clientTracking: false, handleProtocols: (protocols) => chooseProtocol(protocols) });

  constructor(services: ResourceServices) {
    this.#services = services;
    for (const kind of services.kinds) {
      this.#kinds.set(`${kind.apiVersion}/${kind.plural}`, kind);
      this.#groupVersions.add(kind.apiVersion);
    }
    for (const { connectHandlers = [], objectHandlers = [], virtualKinds = [] } of services.extensions) {
      for (const one of virtualKinds) this.#virtual.set(handlerKey(one.group, one.resource, ''), one);
      for (const one of connectHandlers) this.#connect.set(handlerKey(one.group, one.resource, one.subresource), one);
      for (const one of objectHandlers) this.#objectHandlers.set(handlerKey(one.group, one.resource, one.subresource, one.verb), one);
    }
    this.#decoders = services.extensions.flatMap(({ bodyDecoders = [] }) => bodyDecoders);
    this.#subresources = podAndNamespaceSubresources(services);
    this.#objectSubresources = objectSubresources(() => formatTime(services.clock.nowMs()));
  }

  /** Whoever reads the request body by himself. */
  connectHandler({ info }: FastifyRequest['api']): ConnectHandler | undefined {
    return info.isResourceRequest ? this.#connect.get(handlerKey(info.apiGroup, info.resource, info.subresource)) : undefined;
  }
  servesGroupVersion(group: string, version: string): boolean {
    const apiVersion = group === '' ? version : `${group}/${version}`;
    return this.#groupVersions.has(apiVersion) || (this.#services.customResources?.servesGroupVersion(apiVersion) ?? false);
  }

  async handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { info } = request.api;
    const connect = this.connectHandler(request.api);
    if (connect) return this.#runConnect(connect, request, reply);
    const objectHandler = this.#objectHandlers.get(handlerKey(info.apiGroup, info.resource, info.subresource, info.verb));
    if (objectHandler) return this.#runObjectHandler(objectHandler, request, reply);

    const apiVersion = info.apiGroup === '' ? info.apiVersion : `${info.apiGroup}/${info.apiVersion}`;
    const kind = this.#kinds.get(`${apiVersion}/${info.resource}`) ?? this.#services.customResources?.find(apiVersion, info.resource);
    if (info.resource === 'bindings' && apiVersion === 'v1') return this.#runBindings(request, reply);
    if (!kind || info.parts.length > 3) throw resourceNotServed();
    if (kind.deprecation !== undefined) warn(request, kind.deprecation);
    const isInNamespace = info.namespace !== '' && info.resource !== 'namespaces';
    if (isInNamespace && !kind.namespaced) throw resourceNotServed();
    const [, name = '', subresource = ''] = info.parts;
    if (kind.namespaced && name !== '' && !isInNamespace) throw resourceNotServed();
    const operation: Operation = { kind, namespace: kind.namespaced ? info.namespace : '', name, subresource, request, reply };
    if (subresource !== '') return this.#runSubresource(operation);
    const virtual = this.#virtual.get(handlerKey(kind.group, kind.plural, ''));
    if (virtual) return this.#readVirtual(virtual, operation);
    return name === '' ? this.#runCollection(operation) : this.#runItem(operation);
  }

  async #readVirtual(virtual: VirtualKind, operation: Operation): Promise<unknown> {
    const { kind, name, request, reply } = operation;
    const { verb } = request.api.info;
    if (!(kind.verbs as readonly string[]).includes(verb)) throw methodNotAllowed();
    const form = this.#form(operation);
    const entries = (await virtual.list(request.api.abort.signal)).map((object) => new CacheEntry(keyOf(kind, '', object.metadata.name), 0, object));
    const { matches } = this.#selection(operation);
    if (name === '') return sendList(reply, kind, entries.filter(matches), { resourceVersion: '' }, form);
    const found = entries.find(({ object }) => object.metadata.name === name);
    if (!found) throw notFound(kind, name);
    return sendObject(reply, 200, kind, found, form);
  }

  #call(request: FastifyRequest): ResourceCall {
    const { info, user, query, abort } = request.api;
    return { info, user, query, objects: this.#services.objects, signal: abort.signal };
  }

  async #runConnect(handler: ConnectHandler, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const upgrade = pendingUpgrade(request.raw);
    const call = this.#call(request);
    if (upgrade && handler.upgrade) {
      reply.hijack();
      reply.raw.detachSocket(upgrade.socket as Parameters<typeof reply.raw.detachSocket>[0]);
      try {
        await handler.upgrade(call, request.raw, upgrade.socket, upgrade.head);
      } catch (error) {
        refuseUpgrade(upgrade.socket, error);
      }
      return undefined;
    }
    for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) reply.raw.setHeader(name, value);
    const { raw } = reply;
    try {
      await handler.handle(call, request.raw, raw);
    } catch (error) {
      if (raw.headersSent) return void raw.destroy();
      throw error;
    }
    reply.hijack();
    return undefined;
  }

  async #runObjectHandler(handler: ObjectHandler, request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const { format } = negotiate(request.headers.accept);
    const object = this.#decode(request, handler.body);
    const answer = await handler.handle(this.#call(request), object);
    return sendPlainObject(reply, handler.verb === 'create' ? 201 : 200, answer, format);
  }

  #decodeOptions(request: FastifyRequest): DecodeOptions {
    return { decoders: this.#decoders, validation: parseFieldValidation(request.api.query.get('fieldValidation'), OPTIONS_KINDS[request.method] ?? 'CreateOptions'), warn: (text) => warn(request, text) };
  }

  /** The body as an object of `kind`, with defaults. */
  #object(request: FastifyRequest, kind: AnyKind): KubernetesObject {
    const object = decodeObject(rawBody(request), kind, this.#decodeOptions(request));
    kind.applyDefaults?.(object);
    request.api.audit?.request(object);
    return object;
  }
  #decode(request: FastifyRequest, expected: BodyKind): KubernetesObject {
    const object = decodeObject(rawBody(request), expected, this.#decodeOptions(request));
    request.api.audit?.request(object);
    return object;
  }

  #form({ request }: Operation): AnswerForm {
    return {
      accepted: negotiate(request.headers.accept), includeObject: parseIncludeObject(request.api.query.get('includeObject')), nowMs: this.#services.clock.nowMs(),
    };
  }

  #writeContext(request: FastifyRequest, optionsKind: string): WriteContext {
    return {
      user: request.api.user, dryRun: parseDryRun(request.api.query.getAll('dryRun'), optionsKind), fieldManager: fieldManagerOf(request, optionsKind),
      warn: (text) => warn(request, text),
    };
  }

  #selection({ kind, namespace, name, request }: Operation): Selection {
    const { query } = request.api;
    return selectionOf(kind, { namespace, name, labelSelector: query.get('labelSelector') ?? '', fieldSelector: query.get('fieldSelector') ?? '' });
  }

  async #runCollection(operation: Operation): Promise<unknown> {
    const { kind, namespace, request, reply } = operation;
    const { verb } = request.api.info;
    const serves = (wanted: string): boolean => (kind.verbs as readonly string[]).includes(wanted);
    if (verb === 'list' && serves('list')) return this.#list(operation);
    if (verb === 'watch' && serves('watch')) return this.#watch(operation);
    if (verb === 'create' && serves('create') && (!kind.namespaced || namespace !== '')) {
      const form = this.#form(operation);
      const object = this.#object(request, kind);
      checkBodyNamespace(kind, object, namespace);
      const entry = await this.#services.store.create(kind, namespace, object, this.#writeContext(request, 'CreateOptions'));
      return sendObject(reply, 201, kind, entry, form);
    }
    if (verb === 'deletecollection' && serves('deletecollection')) return this.#deleteCollection(operation);
    throw methodNotAllowed();
  }

  async #list(operation: Operation): Promise<unknown> {
    const { kind, request, reply } = operation;
    const { query, abort } = request.api;
    const form = this.#form(operation);
    const limit = integer(query, 'limit');
    integer(query, 'timeoutSeconds');
    if (query.has('sendInitialEvents')) throw invalidOptions('ListOptions', [forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list')]);
    const { entries, metadata } = await listObjects(kind, this.#selection(operation), {
      resourceVersion: query.get('resourceVersion'), resourceVersionMatch: query.get('resourceVersionMatch'), limit: Math.max(0, limit), continue: query.get('continue') ?? '',
      ...request.api.injected,
    }, this.#services, abort.signal);
    return sendList(reply, kind, entries, metadata, form);
  }

  async #watch(operation: Operation): Promise<unknown> {
    const { kind, request, reply } = operation;
    const { query, abort } = request.api;
    const form = this.#form(operation);
    const { transform } = form.accepted;
    const minMs = this.#services.minRequestTimeoutMs;
    const seconds = integer(query, 'timeoutSeconds');
    const sends = query.get('sendInitialEvents');
    const match = query.get('resourceVersionMatch') ?? '';
    const problems = [
      ...(sends !== null && match !== 'NotOlderThan' ? [forbidden('resourceVersionMatch', 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan')] : []),
      ...(sends === null && match !== '' ? [forbidden('resourceVersionMatch', 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided')] : []),
    ];
    if (problems.length > 0) throw invalidOptions('ListOptions', problems);
    const watch: WatchRequest = {
      kind, selection: this.#selection(operation), fromRevision: parseResourceVersion(query.get('resourceVersion')),
      sendInitialEvents: sends === null ? undefined : sends === 'true' || sends === '1',
      allowBookmarks: ['true', '1'].includes(query.get('allowWatchBookmarks') ?? ''),
      timeoutMs: seconds > 0 ? seconds * 1000 : minMs + integerBelow(this.#services.random, minMs + 1),
      transform: transform.as === 'partial-list' ? { ...transform, as: 'partial' } : transform, includeObject: form.includeObject,
      isExpired: request.api.injected?.isExpired === true,
    };
    const { apiFaults, onWatchCut } = this.#services;
    const services = { ...this.#services, onCut: onWatchCut, ...(apiFaults ? { faults: { of: watchFaultsOf(apiFaults, request), onChange: (listener: () => void) => apiFaults.onChange(listener) } } : {}) };
    this.#services.onWatch(kind, 1);
    try {
      const upgrade = pendingUpgrade(request.raw);
      if (!upgrade) {
        const open = () => {
          reply.hijack();
          const headers = Object.fromEntries(Object.entries(reply.getHeaders()).filter(([, value]) => value !== undefined));
          const type = transform.as === 'table' ? `application/json;as=Table;g=meta.k8s.io;v=${transform.apiVersion.split('/')[1] ?? 'v1'}` : 'application/json';
          reply.raw.writeHead(200, { ...headers, 'content-type': type } as Record<string, string>);
          reply.raw.flushHeaders();
          request.api.audit?.tell('ResponseStarted', 200);
          return responseSink(reply.raw);
        };
        await serveWatch(watch, services, open, abort.signal);
      } else {
        reply.hijack();
        reply.raw.detachSocket(upgrade.socket as Parameters<typeof reply.raw.detachSocket>[0]);
        await new Promise<void>((resolve, reject) => {
          this.#webSockets.handleUpgrade(request.raw, upgrade.socket, upgrade.head, (socket) => {
            socket.on('close', () => abort.abort());
            socket.on('error', () => abort.abort());
            serveWatch(watch, services, () => webSocketSink(socket), abort.signal).then(resolve, (error: unknown) => {
              socket.close(1011);
              reject(error as Error);
            });
          });
        });
      }
    } finally {
      this.#services.onWatch(kind, -1);
    }
    return undefined;
  }

  async #runItem(operation: Operation): Promise<unknown> {
    const { kind, namespace, name, request, reply } = operation;
    const { verb, path } = request.api.info;
    const { store } = this.#services;
    if (!(kind.verbs as readonly string[]).includes(verb)) throw methodNotAllowed();
    if (/%2f/i.test(path.split('/').at(-1) ?? '')) throw badRequest(`Name parameter invalid: "${name}": may not contain '/'`);
    switch (verb) {
      case 'watch': return this.#watch(operation);
      case 'get': return sendObject(reply, 200, kind, await this.#get(operation), this.#form(operation));
      case 'update': {
        const form = this.#form(operation);
        const object = this.#object(request, kind);
        const { entry, created } = await store.update({
          kind, namespace, name, subresource: '', mayCreate: kind.allowCreateOnUpdate === true, checkCreate: () => this.#authorizeCreate(request),
          change: (current) => (current ? structuredClone(object) : forCreateOnUpdate(object)),
        }, this.#writeContext(request, 'UpdateOptions'));
        return sendObject(reply, created ? 201 : 200, kind, entry, form);
      }
      case 'patch': return this.#patch(operation, undefined);
      case 'delete': return this.#delete(operation);
      default: throw methodNotAllowed();
    }
  }

  async #get({ kind, namespace, name, request }: Operation): Promise<CacheEntry> {
    const { cache, store } = this.#services;
    const revision = parseResourceVersion(request.api.query.get('resourceVersion'));
    if (revision === undefined) return store.get(kind, namespace, name);
    await waitForRevision(cache, revision, request.api.abort.signal);
    const [entry] = cache.of(kind).list(this.#selection({ kind, namespace, name, request } as Operation).prefix);
    return entry ? entry.as(kind) : store.get(kind, namespace, name);
  }

  async #patch(operation: Operation, rules: UpdateRules | undefined): Promise<unknown> {
    const { kind, namespace, name, subresource, request, reply } = operation;
    const form = this.#form(operation);
    const { validation } = this.#decodeOptions(request);
    const context = this.#writeContext(request, 'PatchOptions');
    const patch = preparePatch(rawBody(request), patchTargetOf(kind), { ...this.#patchOptions(operation, context), validation });
    const { entry, created } = await this.#services.store.update({
      kind, namespace, name, subresource, ...(rules ? { rules } : {}), ...(patch.isApply ? { ownership: 'settled' } : {}),
      mayCreate: patch.isApply && subresource === '',
      checkCreate: () => this.#authorizeCreate(request),
      change: (current) => {
        const next = patch(current);
        kind.applyDefaults?.(next);
        return next;
      },
    }, context);
    return sendObject(reply, created ? 201 : 200, kind, entry, form);
  }

  /** Throws Invalid. */
  #patchOptions({ kind, subresource, request }: Operation, context: WriteContext): PatchOptions {
    const isApply = isApplyRequest(rawBody(request));
    const force = request.api.query.get('force');
    const refuse = (problem: FieldError): StatusError => invalidObject({ group: 'meta.k8s.io', kind: 'PatchOptions' }, '', [problem]);
    if (isApply && !request.api.query.get('fieldManager')) throw refuse(required('fieldManager', 'is required for apply patch'));
    if (!isApply && force !== null) throw refuse(forbidden('force', 'may not be specified for non-apply patch'));
    if (request.api.audit?.wantsRequest) request.api.audit.request(parsePatch(rawBody(request)));
    return {
      validation: this.#decodeOptions(request).validation, warn: (text) => warn(request, text),
      write: () => ({ ...this.#services.store.fieldWrite(kind, subresource, context), force: force !== null && !['', '0', 'false'].includes(force.toLowerCase()) }),
    };
  }

  /** Whoever creates by patching or putting must be allowed to. Throws Forbidden. */
  async #authorizeCreate({ api: { user, info } }: FastifyRequest): Promise<void> {
    const attributes = { ...info, user, verb: 'create' };
    const { allowed, reason } = await this.#services.authorizer.authorize(attributes);
    if (!allowed) throw refused(attributes, reason);
  }

  #deleteOptions(request: FastifyRequest): DeleteOptions {
    const body = rawBody(request);
    const { query } = request.api;
    let options: DeleteOptions = {};
    if (body.bytes.length > 0) {
      const { value } = parseBody(body, DELETE_OPTIONS, { decoders: this.#decoders, wantDuplicates: false });
      try {
        options = decodeStructure(value, DELETE_OPTIONS.schema).object;
      } catch (error) {
        if (!(error instanceof StructureError)) throw error;
        throw cannotBeHandled(DELETE_OPTIONS, error.message);
      }
    } else {
      const seconds = query.get('gracePeriodSeconds');
      const orphan = query.get('orphanDependents');
      const policy = query.get('propagationPolicy');
      options = {
        ...(seconds === null ? {} : { gracePeriodSeconds: integer(query, 'gracePeriodSeconds') }),
        ...(orphan === null ? {} : { orphanDependents: orphan === 'true' || orphan === '1' }),
        ...(policy === null ? {} : { propagationPolicy: policy }),
        dryRun: query.getAll('dryRun'),
      };
    }
    request.api.audit?.request({ kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', ...options });
    checkDeleteOptions(options);
    return options;
  }

  #deleteContext(request: FastifyRequest, options: DeleteOptions): WriteContext {
    return { user: request.api.user, dryRun: parseDryRun(options.dryRun ?? [], 'DeleteOptions'), warn: (text) => warn(request, text) };
  }

  async #delete(operation: Operation): Promise<unknown> {
    const { kind, namespace, name, request, reply } = operation;
    const form = this.#form(operation);
    const options = this.#deleteOptions(request);
    const { removed, entry } = await this.#services.store.delete(kind, namespace, name, options, this.#deleteContext(request, options));
    if (removed && !RETURNS_DELETED.has(kind.plural)) return sendPlainObject(reply, 200, success(kind, entry.object), form.accepted.format);
    const isWaiting = !removed && options.orphanDependents === false && (entry.object.metadata.finalizers ?? []).includes(FINALIZER_ORPHAN);
    return sendObject(reply, isWaiting ? 202 : 200, kind, entry, form);
  }

  async #deleteCollection(operation: Operation): Promise<unknown> {
    const { kind, request, reply } = operation;
    const { store } = this.#services;
    const form = this.#form(operation);
    const options = this.#deleteOptions(request);
    const context = this.#deleteContext(request, options);
    const { query, abort } = request.api;
    const { entries, metadata } = await listObjects(kind, this.#selection(operation), {
      resourceVersion: query.get('resourceVersion'), resourceVersionMatch: query.get('resourceVersionMatch'), limit: Math.max(0, integer(query, 'limit')), continue: query.get('continue') ?? '',
    }, this.#services, abort.signal);
    const pending = [...entries];
    const worker = async (): Promise<void> => {
      for (let entry = pending.shift(); entry; entry = pending.shift()) {
        abort.signal.throwIfAborted();
        const { name, namespace = '' } = entry.object.metadata;
        await store.delete(kind, namespace, name, options, context).catch((error: unknown) => {
          if (!(error instanceof StatusError) || error.code !== 404) throw error; // gone meanwhile
        });
      }
    };
    await Promise.all(Array.from({ length: DELETE_WORKERS }, worker));
    return sendList(reply, kind, entries, { resourceVersion: metadata.resourceVersion }, form);
  }

  async #runSubresource(operation: Operation): Promise<unknown> {
    const { kind, namespace, name, subresource, request, reply } = operation;
    const { verb } = request.api.info;
    const declared = Object.hasOwn(kind.subresources, subresource) ? kind.subresources[subresource] : undefined;
    if (!declared) throw resourceNotServed();
    if (!(declared.verbs as readonly string[]).includes(verb)) throw methodNotAllowed();
    const { store } = this.#services;
    const rules = this.#objectSubresources(kind, subresource);
    if (rules) {
      if (verb === 'get') return sendObject(reply, 200, kind, await this.#get(operation), this.#form(operation));
      if (verb === 'patch') return this.#patch(operation, rules);
      const form = this.#form(operation);
      const object = this.#object(request, kind);
      const { entry } = await store.update({ kind, namespace, name, subresource, rules, change: () => structuredClone(object) }, this.#writeContext(request, 'UpdateOptions'));
      return sendObject(reply, 200, kind, entry, form);
    }
    const handler = subresource === 'scale' && kind.scale ? scaleSubresource(this.#services, kind.scale) : this.#subresources.get(`${kind.group}/${kind.plural}/${subresource}`);
    if (!handler) throw resourceNotServed();
    const { format } = negotiate(request.headers.accept);
    const context = this.#writeContext(request, verb === 'create' ? 'CreateOptions' : verb === 'patch' ? 'PatchOptions' : 'UpdateOptions');
    const { code, object } = await handler({
      kind, namespace, name, verb, subresource,
      body: (expected) => this.#decode(request, expected),
      patch: (target) => preparePatch(rawBody(request), target, this.#patchOptions(operation, context)),
      context,
    });
    return sendPlainObject(reply, code, object, format);
  }

  /** POST bindings: the pod's name stands in the body. */
  async #runBindings(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const handler = this.#subresources.get('/pods/binding');
    const { info } = request.api;
    const kind = this.#kinds.get('v1/pods');
    if (!handler || !kind || info.parts.length > 1 || info.namespace === '') throw resourceNotServed();
    if (info.verb !== 'create') throw methodNotAllowed();
    const { code, object } = await handler({
      kind, namespace: info.namespace, name: '', verb: 'create', subresource: 'binding',
      body: (expected) => this.#decode(request, expected),
      patch: () => {
        throw methodNotAllowed();
      },
      context: this.#writeContext(request, 'CreateOptions'),
    });
    return sendPlainObject(reply, code, object, negotiate(request.headers.accept).format);
  }
}

function rawBody(request: FastifyRequest): RawBody {
  const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  return { bytes, contentType: request.headers['content-type'] ?? '' };
}

function checkBodyNamespace(kind: AnyKind, { metadata }: KubernetesObject, namespace: string): void {
  if (kind.namespaced && metadata.namespace && metadata.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}

/** An update of what is not there creates it, unless it names the object it meant. */
function forCreateOnUpdate(object: KubernetesObject): KubernetesObject {
  const next = structuredClone(object);
  if (next.metadata.uid) {
    throw failure(409, 'Conflict', `Operation cannot be fulfilled on ${next.kind?.toLowerCase() ?? ''} "${next.metadata.name}": Precondition failed: UID in precondition: ${next.metadata.uid}, UID in object meta: `);
  }
  delete next.metadata.resourceVersion;
  return next;
}

/** Source: apimachinery pkg/apis/meta/v1/validation, ValidateDeleteOptions. Throws Invalid. */
function checkDeleteOptions({ propagationPolicy, orphanDependents }: DeleteOptions): void {
  if (propagationPolicy === undefined) return;
  const problems = [
    ...(orphanDependents === undefined ? [] : [invalid('propagationPolicy', propagationPolicy, 'orphanDependents and deletionPropagation cannot be both set')]),
    ...(['Foreground', 'Background', 'Orphan'].includes(propagationPolicy) ? [] : [notSupported('propagationPolicy', propagationPolicy, ['Background', 'Foreground', 'Orphan', 'nil'])]),
  ];
  if (problems.length > 0) throw invalidOptions('DeleteOptions', problems);
}

function chooseProtocol(protocols: Set<string>): string | false {
  for (const known of ['binary.k8s.io', 'base64.binary.k8s.io']) if (protocols.has(known)) return known;
  return [...protocols].find((one) => !one.startsWith('base64url.bearer.authorization.k8s.io.')) ?? false;
}

/** Answers on a socket that was to become something else. */
function refuseUpgrade(socket: NodeJS.WritableStream & { destroyed?: boolean }, error: unknown): void {
  if (socket.destroyed) return;
  const { status, code } = error instanceof StatusError ? error : internalError(error instanceof Error ? error.message : String(error));
  const body = JSON.stringify(status);
  socket.end(`HTTP/1.1 ${code} ${status.reason ?? 'Error'}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
  void once(socket, 'finish').catch(() => undefined); // the client has gone first
}
