// An API server in memory for tests of components that must not import the real one: list, watch, create, update,
// merge and status patch, delete, with resourceVersions that conflict and watches that begin where they are told.
// It knows no schema, defaults, validation or access rules; what depends on those is tested against the real server.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';

interface Stored extends KubernetesObject {
  [field: string]: unknown;
}
interface Change {
  readonly version: number;
  readonly path: string;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  readonly object: Stored;
}
interface Watcher {
  readonly collection: string;
  readonly name: string | undefined;
  readonly response: ServerResponse;
}

export class ObjectServer {
  readonly #objects = new Map<string, Stored>();
  readonly #history: Change[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #server: Server;
  #version = 100;
  /** While set every request fails with 503 and watches are cut, as when etcd is gone. */
  #isDown = false;

  constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => status(response, 500, 'InternalError', String(error)));
    });
  }

  /** Listens on `host` (default 127.0.0.1) and resolves with the base URL. */
  async start(host = '127.0.0.1', port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(port, host, resolve));
    return `http://${host}:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  setDown(isDown: boolean): void {
    this.#isDown = isDown;
    if (isDown) this.#server.closeAllConnections();
  }

  /** `/api/v1/nodes/w1` or `/api/v1/namespaces/default/services/web`. Creates or replaces. */
  put(path: string, object: object): void {
    const name = path.slice(path.lastIndexOf('/') + 1);
    const namespace = /\/namespaces\/([^/]+)\/[^/]+\/[^/]+$/.exec(path)?.[1];
    const known = this.#objects.get(path);
    const { metadata, ...rest } = object as Stored;
    this.#store(path, {
      ...rest,
      metadata: { uid: known?.metadata.uid ?? `uid-${this.#version}`, creationTimestamp: known?.metadata.creationTimestamp ?? new Date().toISOString(), ...metadata, name, ...(namespace === undefined ? {} : { namespace }) },
    } as Stored, known ? 'MODIFIED' : 'ADDED');
  }

  remove(path: string): void {
    const known = this.#objects.get(path);
    if (known) this.#store(path, known, 'DELETED');
  }

  get(path: string): KubernetesObject | undefined {
    return this.#objects.get(path);
  }

  paths(): string[] {
    return [...this.#objects.keys()];
  }

  #store(path: string, object: Stored, type: Change['type']): Stored {
    this.#version += 1;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    if (type === 'DELETED') this.#objects.delete(path);
    else this.#objects.set(path, stored);
    const change = { version: this.#version, path, type, object: stored };
    this.#history.push(change);
    for (const watcher of this.#watchers) send(watcher, change);
    return stored;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#isDown) return status(response, 503, 'ServiceUnavailable', 'the server is currently unable to handle the request');
    const url = new URL(request.url ?? '/', 'http://localhost');
    const path = url.pathname.replace(/\/status$/, '');
    const body = request.method === 'GET' ? undefined : (JSON.parse((await textOf(request)) || '{}') as Stored);
    const known = this.#objects.get(path);
    if (request.method === 'GET' && url.searchParams.get('watch') === 'true') return this.#watch(path, url, response);
    if (request.method === 'POST') {
      const target = `${path}/${body?.metadata.name ?? ''}`;
      if (this.#objects.has(target)) return status(response, 409, 'AlreadyExists', `"${target}" already exists`);
      this.put(target, body ?? {});
      return json(response, 201, this.#objects.get(target));
    }
    if (isCollection(path) && request.method === 'GET') {
      const name = nameSelected(url);
      const items = [...this.#objects].filter(([item, object]) => belongsTo(item, path) && (name === undefined || object.metadata.name === name)).map(([, object]) => object);
      return json(response, 200, { kind: 'List', apiVersion: 'v1', metadata: { resourceVersion: String(this.#version) }, items });
    }
    if (!known) return status(response, 404, 'NotFound', `"${path}" not found`);
    switch (request.method) {
      case 'GET': return json(response, 200, known);
      case 'DELETE': return json(response, 200, this.#store(path, known, 'DELETED'));
      case 'PATCH': return json(response, 200, this.#store(path, merged(known, body) as Stored, 'MODIFIED'));
      case 'PUT':
        if (body?.metadata.resourceVersion !== undefined && body.metadata.resourceVersion !== known.metadata.resourceVersion) {
          return status(response, 409, 'Conflict', `Operation cannot be fulfilled on "${path}"`);
        }
        return json(response, 200, this.#store(path, body as Stored, 'MODIFIED'));
      default: return status(response, 405, 'MethodNotAllowed', 'not offered');
    }
  }

  #watch(path: string, url: URL, response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
    const watcher = { collection: path, name: nameSelected(url), response };
    this.#watchers.add(watcher);
    response.once('close', () => this.#watchers.delete(watcher));
    const since = Number(url.searchParams.get('resourceVersion') ?? '0');
    for (const change of this.#history) if (change.version > since) send(watcher, change);
  }
}

/** `/api/v1/services` selects those of all namespaces. */
function belongsTo(path: string, collection: string): boolean {
  const at = path.lastIndexOf('/');
  const own = path.slice(0, at);
  return own === collection || own.replace(/\/namespaces\/[^/]+(?=\/[^/]+$)/, '') === collection;
}

/** Of selectors only `metadata.name=` is understood. */
const nameSelected = (url: URL): string | undefined => /^metadata\.name=(.+)$/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1];

const isCollection = (path: string): boolean => /^\/(api|apis\/[^/]+)\/[^/]+(\/namespaces\/[^/]+)?\/[^/]+$/.test(path) && !/\/namespaces\/[^/]+$/.test(path);

function send({ collection, name, response }: Watcher, { path, type, object }: Change): void {
  if (belongsTo(path, collection) && (name === undefined || object.metadata.name === name)) response.write(`${JSON.stringify({ type, object })}\n`);
}

/** JSON merge patch; good enough for strategic ones whose lists are replaced as a whole. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === 'object' && target !== null ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

function json(response: ServerResponse, code: number, body: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function status(response: ServerResponse, code: number, reason: string, message: string): void {
  json(response, code, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason, message, code });
}
