// A map for what comes and goes by the thousand, such as calls under way. A Map would do, but for the memory: whenever many entries were
// deleted V8 gives a Map a new table, and the old one keeps what it held and refers to the new one. Once one of them is old, so that the
// collector of the young generation does not look at it, all that follow it are kept, with every call they ever held, until the next collection of all.
// Source: V8, OrderedHashTable::Rehash (SetNextTable).
import { randomInt } from 'node:crypto';

const LEAST_SLOTS = 8;

/** Values by numbers from 1 to 2^31 - 1. */
export class IdTable<V> {
  /** Open addressing: an entry stands in the first slot that was free from its own on, and there is no free one between. 0: free. */
  private ids: number[] = new Array<number>(LEAST_SLOTS).fill(0);
  private held: (V | undefined)[] = new Array<V | undefined>(LEAST_SLOTS).fill(undefined);
  private count = 0;
  /** Nobody who chooses the numbers can choose such as share a slot. */
  private readonly factor = randomInt(2 ** 31) * 2 + 1;

  get size(): number {
    return this.count;
  }

  get(id: number): V | undefined {
    return this.held[this.slotOf(id)];
  }

  set(id: number, value: V): void {
    let slot = this.slotOf(id);
    if (this.ids[slot] === 0) {
      if (this.count * 2 >= this.ids.length) {
        this.resize(this.ids.length * 2);
        slot = this.slotOf(id);
      }
      this.ids[slot] = id;
      this.count += 1;
    }
    this.held[slot] = value;
  }

  /** The value there was. */
  delete(id: number): V | undefined {
    let free = this.slotOf(id);
    if (this.ids[free] === 0) return undefined;
    const value = this.held[free];
    // What stands behind moves up, unless its own slot comes after the free one.
    const last = this.ids.length - 1;
    for (let slot = (free + 1) & last; this.ids[slot] !== 0; slot = (slot + 1) & last) {
      const wanted = this.firstSlotOf(this.ids[slot] as number);
      if (((slot - wanted) & last) < ((slot - free) & last)) continue;
      this.ids[free] = this.ids[slot] as number;
      this.held[free] = this.held[slot];
      free = slot;
    }
    this.ids[free] = 0;
    this.held[free] = undefined;
    this.count -= 1;
    if (this.ids.length > LEAST_SLOTS && this.count * 8 < this.ids.length) this.resize(this.ids.length / 2);
    return value;
  }

  /** In no order. */
  values(): V[] {
    return this.held.filter((_, slot) => this.ids[slot] !== 0) as V[];
  }

  clear(): void {
    this.count = 0;
    this.ids = new Array<number>(LEAST_SLOTS).fill(0);
    this.held = new Array<V | undefined>(LEAST_SLOTS).fill(undefined);
  }

  private firstSlotOf(id: number): number {
    return (Math.imul(id, this.factor) >>> 8) & (this.ids.length - 1);
  }

  /** Where it stands, or the free slot in which it belongs. */
  private slotOf(id: number): number {
    const last = this.ids.length - 1;
    let slot = this.firstSlotOf(id);
    while (this.ids[slot] !== id && this.ids[slot] !== 0) slot = (slot + 1) & last;
    return slot;
  }

  private resize(slots: number): void {
    const { ids, held } = this;
    this.ids = new Array<number>(slots).fill(0);
    this.held = new Array<V | undefined>(slots).fill(undefined);
    for (let at = 0; at < ids.length; at += 1) {
      if (ids[at] === 0) continue;
      const slot = this.slotOf(ids[at] as number);
      this.ids[slot] = ids[at] as number;
      this.held[slot] = held[at];
    }
  }
}
