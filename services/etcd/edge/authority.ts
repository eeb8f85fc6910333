// Lets old etcd clients in. etcdctl 3.4 dials `endpoint status` with a whole URL as HTTP/2 :authority, which Go accepts
// and Node's HTTP/2 (nghttp2) refuses, as RFC 9113 demands. etcd has no use for the header, so it is replaced before
// nghttp2 sees it. Only for connections that open as Go's old gRPC client does: all others go on without this detour.
import { Duplex } from 'node:stream';

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const FRAME_HEADER = 9;
const HEADERS = 1;
const SETTINGS = 4;
const FLAG_PADDED = 0x8;
const FLAG_PRIORITY = 0x20;
/** Index of :authority in HPACK's static table. RFC 7541, appendix A. */
const AUTHORITY_INDEX = 1;
/**
 * Length and text of the value put in its place, without Huffman code. One letter: the entry in the receiver's dynamic
 * table must not be larger than in the sender's, or the two would not drop the same old entries.
 */
const REPLACEMENT = Buffer.from([1, 0x65]);

/** How much of a connection must be seen to tell: the preface and the header of the first frame. */
export const OPENING_BYTES = PREFACE.length + FRAME_HEADER;

/** True when the first bytes are those of Go's gRPC client: the preface and then SETTINGS that set nothing. */
export function opensLikeGo(start: Buffer): boolean {
  return start.length >= OPENING_BYTES
    && start.toString('latin1', 0, PREFACE.length) === PREFACE
    && start.readUIntBE(PREFACE.length, 3) === 0 && start[PREFACE.length + 3] === SETTINGS;
}

/** The connection as it is, but for the value of :authority in requests. */
export function withPlainAuthority(socket: Duplex): Duplex {
  const rewriter = new AuthorityRewriter();
  const wrapped = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, callback) => void socket.write(chunk, callback),
    final: (callback) => void socket.end(callback),
    destroy: (error, callback) => {
      socket.destroy();
      callback(error);
    },
  });
  socket.on('data', (chunk: Buffer) => {
    const bytes = rewriter.push(chunk);
    if (bytes.length > 0 && !wrapped.push(bytes)) socket.pause();
  });
  socket.on('end', () => wrapped.push(null));
  socket.on('close', () => wrapped.destroy());
  return wrapped;
}

/** Works on whole frames; frames are at most 16 KiB, as the server allows no more. */
export class AuthorityRewriter {
  private pending: Buffer = Buffer.alloc(0);
  private sawPreface = false;

  /** Takes bytes as they arrive and returns those that can go on. */
  push(chunk: Buffer): Buffer {
    this.pending = this.pending.length === 0 ? chunk : Buffer.concat([this.pending, chunk]);
    const out: Buffer[] = [];
    let at = 0;
    if (!this.sawPreface) {
      if (this.pending.length < PREFACE.length) return Buffer.alloc(0);
      this.sawPreface = true;
      at = PREFACE.length;
      out.push(this.pending.subarray(0, at));
    }
    while (this.pending.length - at >= FRAME_HEADER) {
      const end = at + FRAME_HEADER + this.pending.readUIntBE(at, 3);
      if (end > this.pending.length) break;
      const frame = this.pending.subarray(at, end);
      out.push(frame[3] === HEADERS ? rewriteHeaders(frame) : frame);
      at = end;
    }
    this.pending = this.pending.subarray(at);
    return Buffer.concat(out);
  }
}

function rewriteHeaders(frame: Buffer): Buffer {
  const flags = frame[4] ?? 0;
  const isPadded = (flags & FLAG_PADDED) !== 0;
  const start = FRAME_HEADER + (isPadded ? 1 : 0) + ((flags & FLAG_PRIORITY) !== 0 ? 5 : 0);
  const end = frame.length - (isPadded ? frame[FRAME_HEADER] ?? 0 : 0);
  const value = findAuthority(frame, start, end);
  if (value === undefined) return frame;
  const rewritten = Buffer.concat([frame.subarray(0, value.start), REPLACEMENT, frame.subarray(value.end)]);
  rewritten.writeUIntBE(rewritten.length - FRAME_HEADER, 0, 3);
  return rewritten;
}

/** Where the value of a literal :authority stands, length included. undefined when there is none, or it makes no sense. */
function findAuthority(block: Buffer, start: number, end: number): { start: number; end: number } | undefined {
  let at = start;
  const integer = (prefixBits: number): number => {
    const max = (1 << prefixBits) - 1;
    let value = (block[at++] ?? 0) & max;
    if (value < max) return value;
    for (let shift = 0; shift < 28 && at < end; shift += 7) {
      const byte = block[at++] ?? 0;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  const skipString = (): void => {
    const length = integer(7);
    at += length;
  };
  while (at < end) {
    const first = block[at] ?? 0;
    if (first >= 0x80) integer(7); // an indexed field
    else if (first >= 0x20 && first < 0x40) integer(5); // a new size for the dynamic table
    else {
      const name = integer(first >= 0x40 ? 6 : 4);
      if (name === 0) skipString();
      const valueStart = at;
      skipString();
      if (name === AUTHORITY_INDEX && at <= end) return { start: valueStart, end: at };
    }
  }
  return undefined;
}
