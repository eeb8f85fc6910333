// A small registry for tests: manifests and blobs by HTTP or TLS, with a password or tokens, and a connection that breaks.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { digestOf, type TestImage } from './archives.ts';

export interface RegistryOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly authorization?: 'basic' | 'bearer';
}

export const USER = 'somebody';
export const PASSWORD = 's3cret';

export class TestRegistry {
  readonly requests: string[] = [];
  /** Bytes of a blob after which its connection breaks, once each. */
  readonly breakAfter: number[] = [];
  readonly #blobs = new Map<string, Buffer>();
  readonly #manifests = new Map<string, Buffer>();
  readonly #options: RegistryOptions;
  readonly #server;

  constructor(options: RegistryOptions = {}) {
    this.#options = options;
    const answer = (request: IncomingMessage, response: ServerResponse): void => this.#answer(request, response);
    this.#server = options.tls ? createTlsServer(options.tls, answer) : createServer(answer);
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  put(name: string, tag: string, { manifest, blobs }: TestImage): void {
    for (const [digest, blob] of blobs) this.#blobs.set(digest, blob);
    this.putManifest(name, tag, manifest);
  }

  putManifest(name: string, tag: string, manifest: Buffer): void {
    this.#manifests.set(`${name}:${tag}`, manifest);
    this.#manifests.set(`${name}:${digestOf(manifest)}`, manifest);
  }

  damage(digest: string): void {
    const blob = Buffer.from(this.#blobs.get(digest) ?? '');
    blob[blob.length - 1] = (blob.at(-1) ?? 0) ^ 1;
    this.#blobs.set(digest, blob);
  }

  #answer({ url = '', method = '', headers }: IncomingMessage, response: ServerResponse): void {
    this.requests.push(`${method} ${url}`);
    const basic = `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}`;
    if (url.startsWith('/token')) {
      if (headers.authorization !== basic) response.writeHead(401).end();
      else response.writeHead(200).end(JSON.stringify({ token: 'granted' }));
      return;
    }
    const expected = { basic, bearer: 'Bearer granted', none: undefined }[this.#options.authorization ?? 'none'];
    if (expected !== undefined && headers.authorization !== expected) {
      const host = `${this.#options.tls ? 'https' : 'http'}://${headers.host ?? ''}`;
      response.writeHead(401, { 'www-authenticate': this.#options.authorization === 'basic' ? 'Basic realm="test"' : `Bearer realm="${host}/token",service="test"` }).end();
      return;
    }
    const match = /^\/v2\/(.+)\/(manifests|blobs)\/([^/?]+)/.exec(url);
    const [, name = '', kind, what = ''] = match ?? [];
    const bytes = kind === 'blobs' ? this.#blobs.get(what) : this.#manifests.get(`${name}:${what}`);
    if (!bytes) return void response.writeHead(404).end();
    if (kind === 'manifests') {
      const { mediaType } = JSON.parse(bytes.toString()) as { mediaType: string };
      return void response.writeHead(200, { 'content-type': mediaType, 'docker-content-digest': digestOf(bytes), 'content-length': bytes.length }).end(method === 'HEAD' ? '' : bytes);
    }
    const from = Number(/^bytes=(\d+)-/.exec(headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': bytes.length - from });
    const limit = bytes.length > 1000 ? this.breakAfter.shift() : undefined;
    if (limit === undefined) response.end(bytes.subarray(from));
    else response.write(bytes.subarray(from, from + limit), () => response.destroy());
  }
}
