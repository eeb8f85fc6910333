// Answers of many keys, put into bytes piece by piece, so that everything else goes on meanwhile: in one go a hundred thousand keys would
// hold up this member, and what it leads, for most of a second.
import { rangeResponse, type KeyValue, type ResponseHeader } from '#lib/etcd-api/messages.ts';
import type { Entry } from '../core/key-index.ts';
import { keyOnly, type Selection } from '../core/range.ts';
import { heldValue, placeOf } from '../core/value-memory.ts';
import type { DatabaseView } from './database.ts';
import { Breather } from './breather.ts';

/** A RangeResponse that is in bytes already. */
export class EncodedRange {
  readonly header: ResponseHeader;
  readonly bytes: Buffer;
  /** Keys that it has, and those that there are. */
  readonly kvCount: number;
  readonly count: number;

  constructor(header: ResponseHeader, bytes: Buffer, { kvCount, count }: { readonly kvCount: number; readonly count: number }) {
    this.header = header;
    this.bytes = bytes;
    this.kvCount = kvCount;
    this.count = count;
  }
}

/** Up to here an answer is made at once. */
export const MAX_ENTRIES_AT_ONCE = 250;
const PIECE = 100;

export interface EncodingOptions {
  readonly selection: Selection;
  readonly keysOnly: boolean;
  /** Of the values that are not in memory; of the moment of the selection, for later they may be compacted. */
  readonly view: () => DatabaseView;
}

/** Reads what was selected as it was then. */
export async function encodeRange({ selection: { header, entries, more, count }, keysOnly, view }: EncodingOptions): Promise<EncodedRange> {
  const held = keysOnly ? [] : entries.map(placeOf); // they may leave memory meanwhile
  const stored = held.includes(undefined) ? view() : undefined;
  try {
    const pieces = [rangeResponse.encode({ header })];
    const breather = new Breather();
    for (let at = 0; at < entries.length; at += PIECE) {
      const piece = entries.slice(at, at + PIECE);
      const missing = keysOnly ? [] : piece.filter((_, index) => held[at + index] === undefined);
      const read = missing.length === 0 || stored === undefined ? [] : await stored.values(missing);
      let next = 0;
      const valueOf = (index: number): Uint8Array => {
        const place = held[at + index];
        return (place === undefined ? read[next++] : heldValue(place)) as Uint8Array;
      };
      pieces.push(rangeResponse.encode({ kvs: piece.map((entry, index) => (keysOnly ? { ...keyOnly(entry), lease: entry.lease } : withValue(entry, valueOf(index)))) }));
      await breather.breathe();
    }
    pieces.push(rangeResponse.encode({ more, count }));
    return new EncodedRange(header, Buffer.concat(pieces), { kvCount: entries.length, count });
  } finally {
    await stored?.close();
  }
}

const withValue = (entry: Entry, value: Uint8Array): KeyValue =>
  ({ ...keyOnly(entry), value: Buffer.from(value.buffer, value.byteOffset, value.byteLength), lease: entry.lease });
