// The registry's HTTP side: what a container runtime needs for a pull. A mirror is told in `ns` which registry it stands for.
// Source: the OCI distribution specification; containerd's hosts.md.
import { createReadStream, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Logger } from 'pino';
import { listenUntilAborted } from '#lib/service/listen.ts';
import { requestUrl } from '#lib/service/request-url.ts';
import { MissingProgram } from '../built-in-image.ts';
import { digestOf, MANIFEST_TYPE, type PublishedImages } from './images.ts';
import type { LayerStore } from './layer-store.ts';

export interface RegistryServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly images: PublishedImages;
  readonly layers: LayerStore;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Listens, and resolves with the port; the server closes when `signal` aborts. Rejects when the address is taken. */
export async function startRegistryServer({ host, port, images, layers, log, signal }: RegistryServerOptions): Promise<number> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname, searchParams } = requestUrl(request.url);
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, 'UNSUPPORTED', 'this registry is read-only');
    if (pathname === '/v2/' || pathname === '/v2') return void response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    const [, name = '', kind, what = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(pathname) ?? [];
    if (kind === undefined) return refuse(response, 404, 'NAME_UNKNOWN', 'not a path of a registry');
    const isHead = request.method === 'HEAD';
    const document = images.document(what);
    if (kind === 'blobs') {
      const path = layers.path(what);
      if (document) return sendDocument(response, document, 'application/octet-stream', isHead);
      if (path === undefined) return refuse(response, 404, 'BLOB_UNKNOWN', `blob unknown to registry: ${what}`);
      return sendFile(request, response, path);
    }
    const manifest = what.includes(':') ? document : await images.manifest(`${searchParams.get('ns') ?? 'docker.io'}/${name}`, what);
    if (!manifest) return refuse(response, 404, 'MANIFEST_UNKNOWN', `no built-in image ${name}:${what}`);
    sendDocument(response, manifest, MANIFEST_TYPE, isHead);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (response.headersSent) return void response.destroy(); // the reader went away, or the disk failed
      if (error instanceof MissingProgram) return refuse(response, 404, 'MANIFEST_UNKNOWN', error.message);
      log.error({ err: error, url: request.url }, 'cannot answer');
      refuse(response, 500, 'UNKNOWN', error instanceof Error ? error.message : String(error));
    });
  });
  return listenUntilAborted(server, { host, port }, signal);
}

function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify({ errors: [{ code, message }] }));
}

function sendDocument(response: ServerResponse, bytes: Buffer, type: string, isHead: boolean): void {
  response.writeHead(200, { 'content-type': type, 'content-length': bytes.length, 'docker-content-digest': digestOf(bytes) }).end(isHead ? undefined : bytes);
}

async function sendFile(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
  const { size } = statSync(path);
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (start > size) return void response.writeHead(416, { 'content-range': `bytes */${size}` }).end();
  response.writeHead(start > 0 ? 206 : 200, {
    'content-type': 'application/octet-stream', 'content-length': size - start, 'accept-ranges': 'bytes', ...(start > 0 ? { 'content-range': `bytes ${start}-${size - 1}/${size}` } : {}),
  });
  if (request.method === 'HEAD') return void response.end();
  await pipeline(createReadStream(path, { start, highWaterMark: 1024 * 1024 }), response);
}
