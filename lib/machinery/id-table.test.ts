import assert from 'node:assert/strict';
import { test } from 'node:test';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';
import { IdTable } from './id-table.ts';

test('holds what a Map would hold, whatever comes and goes', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const random = seededRandom(seed);
    const table = new IdTable<string>();
    const map = new Map<number, string>();
    const most = 2 ** integerBelow(random, 12);
    const idOf = seed % 2 === 0 ? (at: number): number => at + 1 : (at: number): number => 2 ** 31 - 1 - at * 4096; // close to each other, and far
    for (let step = 0; step < 5_000; step += 1) {
      const id = idOf(integerBelow(random, most));
      if (random.fraction() < (step % 1000 < 500 ? 0.7 : 0.3)) {
        table.set(id, `${step}`);
        map.set(id, `${step}`);
      } else {
        assert.equal(table.delete(id), map.get(id));
        map.delete(id);
      }
      assert.equal(table.size, map.size);
      assert.equal(table.get(id), map.get(id));
    }
    assert.deepEqual(table.values().sort(), [...map.values()].sort());
    for (const [id, value] of map) assert.equal(table.get(id), value);
    table.clear();
    assert.deepEqual([table.size, table.values()], [0, []]);
  }
});

test('one that stays is found however many came and went', () => {
  const table = new IdTable<string>();
  table.set(1, 'stays');
  for (let id = 3; id < 200_000; id += 2) {
    table.set(id, 'goes');
    table.delete(id);
  }
  assert.deepEqual([table.size, table.get(1), table.get(3)], [1, 'stays', undefined]);
});
