import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { integerBelow, seededRandom } from '#lib/environment/random.ts';
import { rangeRequest, rangeResponse, type RangeRequest, type RangeRequestInput } from '#lib/etcd-api/messages.ts';
import { compactTo, deleteRange, EVERYTHING, put } from '../core/testing.ts';
import { Store, type Command } from '../core/store.ts';
import { temporaryFolder } from '../testing.ts';
import { Database } from './database.ts';
import { encodeRange } from './encoded-range.ts';

const folder = temporaryFolder();
const database = await Database.open(folder.path);
after(async () => {
  await database.close();
  folder.remove();
});

const store = new Store((entry) => database.readValue(entry));
async function apply(commands: readonly Command[]): Promise<void> {
  await database.write(commands.flatMap((command) => [...store.apply(command).writes]));
}
const requestOf = (fields: RangeRequestInput): RangeRequest => rangeRequest.decode(rangeRequest.encode(fields));
const encoded = (request: RangeRequest): ReturnType<typeof encodeRange> => encodeRange({ selection: store.select(request, store.revision), keysOnly: request.keysOnly, view: () => database.view() });

test('an answer made in pieces is the one made at once, from memory or from the disk', async () => {
  await apply(Array.from({ length: 1_000 }, (_, at) => put({ key: `k${at % 700}`, value: `value ${at}` })));
  store.releaseValues(3_000, store.revision);
  const random = seededRandom(1);
  const pick = <T>(...values: readonly T[]): T => values[integerBelow(random, values.length)] as T;
  for (let round = 0; round < 40; round += 1) {
    const request = requestOf({
      ...EVERYTHING, limit: pick(0, 0, 300, 5_000), revision: pick(0, 0, 400), keysOnly: pick(true, false), countOnly: random.fraction() < 0.1,
      sortOrder: pick('NONE', 'ASCEND', 'DESCEND'), sortTarget: pick('KEY', 'MOD', 'VALUE', 'VERSION'), minModRevision: pick(0, 0, 200),
    });
    const atOnce = rangeResponse.encode(store.range(request, store.revision));
    assert.deepEqual(rangeResponse.decode((await encoded(request)).bytes), rangeResponse.decode(atOnce), JSON.stringify(request, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)));
  }
});

test('what is written, deleted and compacted meanwhile does not change it', async () => {
  const request = requestOf(EVERYTHING);
  const before = rangeResponse.decode(rangeResponse.encode(store.range(request, store.revision)));
  const running = encoded(request);
  await apply([deleteRange({ key: 'k', rangeEnd: 'l' }), put({ key: 'k5', value: 'later' })]);
  await apply([compactTo(store.revision)]);
  store.releaseValues(0, store.revision);
  assert.deepEqual(rangeResponse.decode((await running).bytes), before);
});
