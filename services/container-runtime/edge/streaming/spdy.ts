// SPDY/3.1 as far as kubectl needs it: the server's side, streams opened by the client, no flow control (Kubernetes' own
// library has none either). Source of the format: the SPDY protocol, draft 3.
import { Duplex, type DuplexOptions } from 'node:stream';
import { constants, createInflate, type Inflate } from 'node:zlib';

const VERSION = 3;
const TYPE = { SYN_STREAM: 1, SYN_REPLY: 2, RST_STREAM: 3, PING: 6, GOAWAY: 7, HEADERS: 8 } as const;
const FLAG_FIN = 1;
const HEADER_BYTES = 8;
/** Largest frame taken; a frame may be 16 MiB. Bytes. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024;
/** Streams open at once on one connection. */
const MAX_STREAMS = 1_000;
/** Largest data frame sent. Bytes. */
const MAX_DATA_BYTES = 32 * 1024;

/** The dictionary that header blocks are compressed with: each name after its length in 4 bytes, then common values. */
function headerDictionary(): Buffer {
  const names = ('options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization '
    + 'cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range content-type '
    + 'date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards '
    + 'pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade user-agent vary via warning '
    + 'www-authenticate method get status').split(' ').concat(['200 OK', 'version', 'HTTP/1.1', 'url', 'public', 'set-cookie', 'keep-alive', 'origin']);
  const values = '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505'
    + '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error'
    + '501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT'
    + 'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age='
    + 'gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';
  return Buffer.concat([...names.flatMap((name) => [uint32(name.length), Buffer.from(name)]), Buffer.from(values)]);
}

function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}

/**
 * A header block without headers (four zero bytes) in stored form: needs no compressor, every decompressor reads it. An empty
 * block follows, at which decompressors hand out what they have.
 */
function emptyHeaderBlock(isFirst: boolean): Buffer {
  const stored = Buffer.of(0x00, 0x04, 0x00, 0xfb, 0xff, 0, 0, 0, 0, 0x00, 0x00, 0x00, 0xff, 0xff);
  return isFirst ? Buffer.concat([Buffer.of(0x78, 0x01), stored]) : stored;
}

export type SpdyHeaders = Readonly<Record<string, string>>;

export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: SpdyHeaders;
  readonly #connection: SpdyConnection;

  constructor(connection: SpdyConnection, { id, headers }: { id: number; headers: SpdyHeaders }, options: DuplexOptions = {}) {
    super({ ...options, allowHalfOpen: true });
    this.id = id;
    this.headers = headers;
    this.#connection = connection;
  }

  override _read(): void {
    this.emit('wants-data');
  }

  override _write(chunk: Buffer, _: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#connection.sendData(this.id, chunk, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#connection.sendEnd(this.id, callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#connection.forget(this.id);
    if (this.writableFinished) return callback(error);
    this.#connection.sendEnd(this.id, () => callback(error)); // whoever reads the other end must not wait for ever
  }
}

export class SpdyConnection {
  readonly #transport: Duplex;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #onStream: (stream: SpdyStream) => void;
  #inflate: Inflate | undefined;
  #hasReplied = false;
  /** Settles when the transport has closed or the client has broken the protocol. */
  readonly closed: Promise<void>;

  /** `transport` carries frames from now on; `head` is what was read of it already. */
  constructor({ transport, head, onStream }: { transport: Duplex; head: Buffer; onStream: (stream: SpdyStream) => void }) {
    this.#transport = transport;
    this.#onStream = onStream;
    if (head.length > 0) transport.unshift(head);
    this.closed = this.#readFrames().catch(() => undefined).finally(() => this.close());
  }

  close(): void {
    this.#inflate?.close();
    this.#inflate = undefined;
    for (const stream of this.#streams.values()) {
      stream.push(null);
      stream.destroy();
    }
    this.#transport.end();
    // The client closes its side when it has read everything; one that does not is cut off.
    setTimeout(() => this.#transport.destroy(), 2_000).unref();
  }

  sendData(id: number, chunk: Buffer, callback: (error?: Error | null) => void): void {
    for (let at = 0; at < chunk.length; at += MAX_DATA_BYTES) {
      const part = chunk.subarray(at, at + MAX_DATA_BYTES);
      const isLast = at + MAX_DATA_BYTES >= chunk.length;
      this.#send(Buffer.concat([uint32(id, part.length), part]), isLast ? callback : undefined);
    }
    if (chunk.length === 0) callback();
  }

  sendEnd(id: number, callback: (error?: Error | null) => void): void {
    this.#send(uint32(id, FLAG_FIN * 2 ** 24), callback);
  }

  forget(id: number): void {
    this.#streams.delete(id);
  }

  #send(frame: Buffer, callback?: (error?: Error | null) => void): void {
    if (!this.#transport.writable) return callback?.(new Error('the connection is closed'));
    this.#transport.write(frame, callback);
  }

  #control(type: number, payload: Buffer): Buffer {
    return Buffer.concat([uint32(0x80000000 + VERSION * 2 ** 16 + type, payload.length), payload]);
  }

  async #readFrames(): Promise<void> {
    let data: Buffer = Buffer.alloc(0);
    for await (const chunk of this.#transport as AsyncIterable<Buffer>) {
      data = data.length === 0 ? chunk : Buffer.concat([data, chunk]);
      while (data.length >= HEADER_BYTES) {
        const length = data.readUInt32BE(4) % 2 ** 24;
        if (length > MAX_FRAME_BYTES) throw new Error('a SPDY frame is too large');
        if (data.length < HEADER_BYTES + length) break;
        const first = data.readUInt32BE(0);
        const flags = data.readUInt8(4);
        const payload = data.subarray(HEADER_BYTES, HEADER_BYTES + length);
        data = data.subarray(HEADER_BYTES + length);
        if (first >= 0x80000000) await this.#onControl(first % 2 ** 16, flags, payload);
        else await this.#onData(first, flags, payload);
      }
    }
  }

  async #onControl(type: number, flags: number, payload: Buffer): Promise<void> {
    switch (type) {
      case TYPE.SYN_STREAM: {
        const id = payload.readUInt32BE(0) % 2 ** 31;
        const headers = await this.#readHeaders(payload.subarray(10));
        if (this.#streams.has(id) || this.#streams.size >= MAX_STREAMS) return this.#send(this.#control(TYPE.RST_STREAM, uint32(id, 3)));
        const stream = new SpdyStream(this, { id, headers });
        stream.on('error', () => { /* the other side went away: seen by the end of the connection */ });
        this.#streams.set(id, stream);
        if (flags % 2 === FLAG_FIN) stream.push(null);
        this.#send(this.#control(TYPE.SYN_REPLY, Buffer.concat([uint32(id), emptyHeaderBlock(!this.#hasReplied)])));
        this.#hasReplied = true;
        return this.#onStream(stream);
      }
      case TYPE.HEADERS:
        await this.#readHeaders(payload.subarray(4)); // not used, but the decompressor must see every block
        return;
      case TYPE.RST_STREAM: {
        const stream = this.#streams.get(payload.readUInt32BE(0) % 2 ** 31);
        stream?.push(null);
        stream?.destroy();
        return;
      }
      case TYPE.PING:
        if (payload.readUInt32BE(0) % 2 === 1) this.#send(this.#control(TYPE.PING, Buffer.from(payload)));
        return;
      case TYPE.GOAWAY:
        return; // the client closes when its streams have ended
      default:
        return; // SETTINGS, WINDOW_UPDATE: nothing to do
    }
  }

  async #onData(id: number, flags: number, payload: Buffer): Promise<void> {
    const stream = this.#streams.get(id);
    if (!stream || stream.destroyed) return;
    if (payload.length > 0 && !stream.push(Buffer.from(payload))) {
      // Wait for the reader: nobody else on this connection is read meanwhile, so that nothing piles up.
      await new Promise<void>((resolve) => {
        stream.once('wants-data', resolve);
        stream.once('close', resolve);
        this.#transport.once('close', resolve);
      });
    }
    if (flags % 2 === FLAG_FIN) stream.push(null);
  }

  async #readHeaders(block: Buffer): Promise<SpdyHeaders> {
    this.#inflate ??= createInflate({ dictionary: headerDictionary(), flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH });
    const inflate = this.#inflate;
    const plain = await new Promise<Buffer>((resolve, reject) => {
      inflate.once('error', reject);
      inflate.write(block, () => {
        inflate.off('error', reject);
        const parts: Buffer[] = [];
        for (let part = inflate.read() as Buffer | null; part !== null; part = inflate.read() as Buffer | null) parts.push(part);
        resolve(Buffer.concat(parts));
      });
    });
    const headers: Record<string, string> = {};
    let at = 4;
    const text = (): string => {
      const length = plain.readUInt32BE(at);
      at += 4 + length;
      return plain.toString('utf8', at - length, at);
    };
    for (let count = plain.readUInt32BE(0); count > 0; count -= 1) {
      const name = text();
      headers[name.toLowerCase()] = text();
    }
    return headers;
  }
}
