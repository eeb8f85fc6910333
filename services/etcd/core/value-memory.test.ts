import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';
import { heldValue, placeOf, ValueMemory, type ValueBlock, type ValueHolder } from './value-memory.ts';

const holderOf = (key: string, valueBytes: number): ValueHolder => ({ key, sizeBytes: key.length + valueBytes, block: undefined, offset: 0 });

test('values stay what they are while others go, and blocks with little in use are given up', () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const random = seededRandom(seed);
    const memory = new ValueMemory();
    const held = new Map<ValueHolder, Buffer>();
    let bytes = 0;
    for (let step = 0; step < 4_000; step += 1) {
      const value = Buffer.alloc(integerBelow(random, step % 100 === 0 ? 300_000 : 2_000), step);
      const holder = holderOf(`k${step}`, value.length);
      memory.hold(holder, value);
      held.set(holder, value);
      bytes += value.length;
      while (held.size > (step < 2_000 ? 1_000 : 100)) {
        const [gone, former] = [...held][integerBelow(random, Math.min(held.size, 200))] as [ValueHolder, Buffer];
        memory.release(gone);
        held.delete(gone);
        bytes -= former.length;
        assert.equal(heldValue(gone)?.length, former.length === 0 ? 0 : undefined); // nothing takes no place
      }
      assert.equal(memory.sizeBytes, bytes);
    }
    for (const [holder, value] of held) assert.ok(heldValue(holder)?.equals(value));
    const blocks = new Set([...held.keys()].map(({ block }) => block).filter((block): block is ValueBlock => block !== undefined));
    const taken = [...blocks].reduce((sum, block) => sum + block.bytes.length, 0);
    assert.ok(taken <= 2 * bytes + 256 * 1024, `${taken} bytes are taken for ${bytes}`);
  }
});

test('a view, and a place that was noted, outlive their holder', () => {
  const memory = new ValueMemory();
  const holders = Array.from({ length: 1_000 }, (_, at) => holderOf(`k${at}`, 1_000));
  for (const [at, holder] of holders.entries()) memory.hold(holder, Buffer.alloc(1_000, at));
  const views = holders.map(heldValue);
  const places = holders.map(placeOf);
  for (const [at, holder] of holders.entries()) if (at % 3 !== 0) memory.release(holder); // the others move
  for (let at = 0; at < 1_000; at += 1) memory.hold(holderOf('later', 1_000), Buffer.alloc(1_000, 0xff));
  for (const [at, view] of views.entries()) {
    assert.ok(view?.equals(Buffer.alloc(1_000, at)));
    assert.ok(heldValue(places[at] as ValueHolder)?.equals(Buffer.alloc(1_000, at)));
  }
  assert.deepEqual([placeOf(holders[1] as ValueHolder), heldValue(holders[1] as ValueHolder)], [undefined, undefined]);
  assert.ok(heldValue(holders[3] as ValueHolder)?.equals(Buffer.alloc(1_000, 3)));
});
