// The two kinds of streams between members, byte for byte as etcd's: "message" carries any Raft message, "msgappv2" appends, of which it
// leaves out what follows from the one before. Source: etcd v3.6, server/etcdserver/api/rafthttp/{msg_codec,msgappv2_codec}.go.
import { entry as entryMessage, raftMessage, type Entry, type RaftMessage } from '#lib/etcd-api/raft-messages.ts';

/** Larger ones are refused. Source: etcd allows 512 MiB; nothing it sends comes near that. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const MAX_ENTRIES = 1_000_000;

const LINK_HEARTBEAT = 0;
const APP_ENTRIES = 1;
const APP = 2;
const APP_ENTRIES_TYPE = Buffer.from([APP_ENTRIES]);
const APP_TYPE = Buffer.from([APP]);

export class StreamError extends Error {
  override readonly name = 'StreamError';
}

export const encodeRaftMessage = (message: RaftMessage): Buffer => raftMessage.encode(message as Parameters<typeof raftMessage.encode>[0]);

function uint64(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeUInt32BE(Math.floor(value / 2 ** 32), 0);
  bytes.writeUInt32BE(value >>> 0, 4);
  return bytes;
}

/** A message with its length before it. */
function frame(message: RaftMessage): [Buffer, Buffer] {
  const bytes = encodeRaftMessage(message);
  return [uint64(bytes.length), bytes];
}

export interface StreamEncoder {
  /** In pieces, which belong to nobody: they must stay as they are. */
  readonly encode: (message: RaftMessage) => readonly Buffer[];
  /** Keeps the connection from looking dead. */
  readonly heartbeat: () => Buffer;
}

export const messageEncoder = (): StreamEncoder => {
  const heartbeat = Buffer.concat(frame(raftMessage.decode(raftMessage.encode({ type: 'MsgHeartbeat' }))));
  return { encode: frame, heartbeat: () => heartbeat };
};

/** Each with its length before it. What goes to one member goes to the others as well, most often: it is encoded once for all of them. */
function encodeEntries(entries: readonly Entry[]): Buffer {
  if (entries.length === lastEncoded.entries.length && entries.every((one, at) => one === lastEncoded.entries[at])) return lastEncoded.bytes;
  const parts: Buffer[] = [];
  for (const one of entries) {
    const bytes = entryMessage.encode(one as Parameters<typeof entryMessage.encode>[0]);
    parts.push(uint64(bytes.length), bytes);
  }
  lastEncoded = { entries, bytes: Buffer.concat(parts) };
  return lastEncoded.bytes;
}
let lastEncoded: { readonly entries: readonly Entry[]; readonly bytes: Buffer } = { entries: [], bytes: Buffer.alloc(0) };

export function appendEncoder(): StreamEncoder {
  let term = 0;
  let index = 0;
  return {
    heartbeat: () => Buffer.from([LINK_HEARTBEAT]),
    encode: (message) => {
      if (index === message.index && term === message.logTerm && message.logTerm === message.term) {
        index += message.entries.length;
        const head = [APP_ENTRIES_TYPE, uint64(message.entries.length)];
        return message.entries.length === 0 ? [...head, uint64(message.commit)] : [...head, encodeEntries(message.entries), uint64(message.commit)];
      }
      term = message.term;
      index = message.entries.at(-1)?.index ?? message.index;
      return [APP_TYPE, ...frame(message)];
    },
  };
}

/** Asks for a number of bytes and goes on with them; gives messages to `emit`. */
export type Decoding = Generator<number, never, Buffer>;

const readUint64 = (bytes: Buffer): number => bytes.readUInt32BE(0) * 2 ** 32 + bytes.readUInt32BE(4);

function checkedLength(bytes: Buffer): number {
  const length = readUint64(bytes);
  if (length > MAX_MESSAGE_BYTES) throw new StreamError('rafthttp: error limit exceeded');
  return length;
}

/** A heartbeat of the connection, not of Raft. */
const isLinkHeartbeat = ({ type, from, to }: RaftMessage): boolean => type === 'MsgHeartbeat' && from === 0n && to === 0n;

export function* decodeMessages(emit: (message: RaftMessage) => void): Decoding {
  for (;;) {
    const length = checkedLength(yield 8);
    // A copy: the entries' data are views of it, and outlive what was received with them.
    const message = raftMessage.decode(Buffer.from(yield length));
    if (!isLinkHeartbeat(message)) emit(message);
  }
}

export function* decodeAppends(ids: { readonly local: bigint; readonly remote: bigint }, emit: (message: RaftMessage) => void): Decoding {
  let term = 0;
  let index = 0;
  for (;;) {
    const type = (yield 1)[0];
    if (type === LINK_HEARTBEAT) continue;
    if (type === APP) {
      const length = checkedLength(yield 8);
      const message = raftMessage.decode(Buffer.from(yield length));
      term = message.term;
      index = message.entries.at(-1)?.index ?? message.index;
      emit(message);
    } else if (type === APP_ENTRIES) {
      const before = index;
      const count = readUint64(yield 8);
      if (count > MAX_ENTRIES) throw new StreamError('rafthttp: error limit exceeded');
      const entries: Entry[] = [];
      let bytes = 0;
      for (let at = 0; at < count; at += 1) {
        const length = checkedLength(yield 8);
        if ((bytes += length) > MAX_MESSAGE_BYTES) throw new StreamError('rafthttp: error limit exceeded');
        entries.push(entryMessage.decode(Buffer.from(length === 0 ? NOTHING : yield length)));
      }
      index += count;
      const commit = readUint64(yield 8);
      emit({ ...EMPTY, type: 'MsgApp', from: ids.remote, to: ids.local, term, logTerm: term, index: before, entries, commit });
    } else throw new StreamError(`failed to parse type ${type} in msgappv2 stream`);
  }
}
const EMPTY = raftMessage.decode(Buffer.alloc(0));
const NOTHING = Buffer.alloc(0);

/** Feeds a decoding with what arrives. Throws what it throws. */
export class StreamDecoder {
  private readonly decoding: Decoding;
  private chunks: Buffer[] = [];
  private available = 0;
  private needed: number;

  constructor(decoding: Decoding) {
    this.decoding = decoding;
    this.needed = decoding.next().value;
  }

  push(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.available += chunk.length;
    while (this.available >= this.needed) this.needed = this.decoding.next(this.take(this.needed)).value;
  }

  private take(count: number): Buffer {
    let [first = NOTHING] = this.chunks;
    if (first.length < count) {
      first = Buffer.concat(this.chunks);
      this.chunks = [first];
    }
    if (first.length === count) this.chunks.shift();
    else this.chunks[0] = first.subarray(count);
    this.available -= count;
    return first.subarray(0, count);
  }
}
