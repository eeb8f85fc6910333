// Requests to other members, over TLS with this member's own certificate.
import { Agent as HttpAgent, request as httpRequest, type ClientRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest, type AgentOptions } from 'node:https';
import type { Duplex, Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ConnectionOptions, TLSSocket } from 'node:tls';

export interface PeerTls {
  /** With the certificate that this member has now. Throws when it cannot be used. */
  readonly connect: (options: ConnectionOptions) => TLSSocket;
}

export interface PeerResponse {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface PeerRequest {
  readonly method: 'GET' | 'POST';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | { readonly stream: Readable; readonly sizeBytes: number };
  /** Without a byte in either direction. */
  readonly timeoutMs: number;
}

/** Answers are short, but for the keys of a lease. Source: etcd, maxLeaseHTTPResponseSize is 100 MiB. */
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;

/** Nothing is resumed, so no connection goes on with a former certificate. */
class PeerAgent extends HttpsAgent {
  private readonly tls: PeerTls;

  constructor(options: AgentOptions, tls: PeerTls) {
    super(options);
    this.tls = tls;
  }

  override createConnection(options: RequestOptions, callback: (error: Error | null, stream: Duplex) => void): Duplex | undefined {
    try {
      return this.tls.connect(options as ConnectionOptions);
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)), undefined as never); // who fails has no stream, whatever the types say
      return undefined;
    }
  }
}

export class PeerHttpClient {
  private readonly agents: { readonly http: HttpAgent; readonly https: HttpsAgent };

  constructor(tls: PeerTls | undefined) {
    const options = { keepAlive: true, keepAliveMsecs: 5_000, noDelay: true };
    this.agents = {
      http: new HttpAgent(options),
      https: tls === undefined ? new HttpsAgent({ ...options, minVersion: 'TLSv1.2' }) : new PeerAgent(options, tls),
    };
  }

  open(url: URL, options: RequestOptions): ClientRequest {
    const isSecure = url.protocol === 'https:' || url.protocol === 'unixs:';
    // The host of such a URL is the name of a socket, in the working directory. Source: etcd, client/pkg/transport/transport.go.
    const target = url.protocol.startsWith('unix') ? { socketPath: url.host, host: url.host, path: `${url.pathname}${url.search}` } : undefined;
    const all: RequestOptions = { ...options, ...target, agent: isSecure ? this.agents.https : this.agents.http };
    const request = isSecure ? httpsRequest : httpRequest;
    return target === undefined ? request(url, all) : request(all);
  }

  /** Rejects when the peer cannot be reached, or breaks off. */
  async send(url: URL, { method, headers, body, timeoutMs }: PeerRequest): Promise<PeerResponse> {
    const isStream = body !== undefined && !(body instanceof Uint8Array);
    const length = body === undefined ? 0 : isStream ? body.sizeBytes : body.length;
    const request = this.open(url, { method, headers: { ...headers, ...(method === 'POST' || length > 0 ? { 'content-length': length } : {}) } });
    request.setTimeout(timeoutMs, () => request.destroy(new Error(`no answer from ${url.host} within ${timeoutMs / 1000} s`)));
    const answered = new Promise<IncomingMessage>((resolve, reject) => request.once('response', resolve).on('error', reject));
    answered.catch(() => undefined); // awaited below
    if (isStream) await pipeline(body.stream, request);
    else request.end(body);
    const response = await answered;
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response as AsyncIterable<Buffer>) {
      if ((size += chunk.length) > MAX_RESPONSE_BYTES) throw new Error(`the answer from ${url.host} is too long`);
      chunks.push(chunk);
    }
    return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
  }

  close(): void {
    this.agents.http.destroy();
    this.agents.https.destroy();
  }
}

/** `/path` under a peer URL. */
export const under = (base: string, path: string): URL => new URL(`${base.replace(/\/$/, '')}${path}`);
