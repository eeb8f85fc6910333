// What the client asks of HTTP, whatever its version.
import type { Readable } from 'node:stream';

export type HttpMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface TransportRequest {
  readonly method: HttpMethod;
  /** With the query. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** Ends the request, and the answer's body when it is still being read. */
  readonly signal: AbortSignal;
}

export interface TransportResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Fails when the connection breaks off before the end. */
  readonly body: Readable;
}

export interface Transport {
  send(request: TransportRequest): Promise<TransportResponse>;
  /** From the server, on the connections there are. */
  readonly bytesRead: number;
  /** Breaks off all connections; the next request makes new ones. */
  drop(): void;
  /** Ends all connections. */
  close(): Promise<void>;
}

/** The whole body. Throws when the connection breaks off before its end. */
export async function bodyText({ headers, body }: TransportResponse): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body as AsyncIterable<Buffer>) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  const announced = headers['content-length'];
  if (announced !== undefined && Number(announced) !== bytes.length) throw new Error(`${bytes.length} of ${String(announced)} bytes came`);
  return bytes.toString('utf8');
}
