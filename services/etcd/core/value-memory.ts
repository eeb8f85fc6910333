// Values in memory, many to a block. As objects of their own they would live just long enough to become old for V8's collector and
// then leave gaps among the keys that are too small for other keys: a third of the heap.

/** Where a value is. */
export interface ValueHolder {
  readonly key: string;
  /** Of key and value. */
  readonly sizeBytes: number;
  /** undefined: not in memory, unless it is empty. */
  block: ValueBlock | undefined;
  /** Of the value in `block`. */
  offset: number;
}

/** Bytes once written stay as they are: others have views of them. */
export interface ValueBlock {
  readonly bytes: Buffer;
  readonly holders: ValueHolder[];
  usedBytes: number;
  /** Of values that were not released. */
  liveBytes: number;
}

/** Large enough for malloc to give back to the system at once what is not used any more (docs/benchmarks.md). */
const BLOCK_BYTES = 256 * 1024;
/** A larger value has a block of its own. */
const MAX_SHARED_BYTES = BLOCK_BYTES / 8;
/** When less than this share of a full block is in use the rest moves to another one. */
const LEAST_LIVE_SHARE = 1 / 2;

const NO_VALUE = Buffer.alloc(0);

export class ValueMemory {
  private newest: ValueBlock | undefined;
  private live = 0;

  /** Of the values that are held; with what was released the blocks take twice as much at most, and one block. */
  get sizeBytes(): number {
    return this.live;
  }

  /** Copies the value, which has the length that the holder says. */
  hold(holder: ValueHolder, value: Uint8Array): void {
    const { length } = value;
    if (length === 0) return;
    const block = this.blockFor(length);
    block.bytes.set(value, block.usedBytes);
    holder.block = block;
    holder.offset = block.usedBytes;
    block.holders.push(holder);
    block.usedBytes += length;
    block.liveBytes += length;
    this.live += length;
  }

  private blockFor(length: number): ValueBlock {
    if (length > MAX_SHARED_BYTES) return newBlock(length);
    if (this.newest === undefined || this.newest.usedBytes + length > BLOCK_BYTES) this.newest = newBlock(BLOCK_BYTES);
    return this.newest;
  }

  release(holder: ValueHolder): void {
    const { block } = holder;
    if (block === undefined) return;
    this.letGo(holder, block);
    if (block.liveBytes === 0 || block === this.newest || block.liveBytes >= block.bytes.length * LEAST_LIVE_SHARE) return;
    for (const other of block.holders) {
      if (other.block !== block) continue;
      const value = heldValue(other) as Buffer;
      this.letGo(other, block);
      this.hold(other, value);
    }
  }

  private letGo(holder: ValueHolder, block: ValueBlock): void {
    const length = valueLength(holder);
    holder.block = undefined;
    block.liveBytes -= length;
    this.live -= length;
  }
}

const newBlock = (bytes: number): ValueBlock => ({ bytes: Buffer.allocUnsafeSlow(bytes), holders: [], usedBytes: 0, liveBytes: 0 });

const valueLength = ({ key, sizeBytes }: ValueHolder): number => sizeBytes - key.length;

/** Where the value is now, whatever becomes of the holder; undefined when it is not in memory. */
export const placeOf = ({ key, sizeBytes, block, offset }: ValueHolder): ValueHolder | undefined =>
  (block === undefined && sizeBytes > key.length ? undefined : { key, sizeBytes, block, offset });

/** A view of the value; undefined when it is not in memory. */
export function heldValue(holder: ValueHolder): Buffer | undefined {
  const length = valueLength(holder);
  if (length === 0) return NO_VALUE;
  return holder.block?.bytes.subarray(holder.offset, holder.offset + length);
}
