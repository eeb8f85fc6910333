// Two API servers on one storage, one of which hears late of what the other has written.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import { MemoryStorage } from '../core/testing/memory-storage.ts';
import type { StorageEvent, WatchOptions, WriteResult } from '../core/storage.ts';
import { startTestServer } from './testing/test-server.ts';

/** The same storage, whose watches tell nothing while it is held: until a write was refused because of its guard. */
class LateStorage extends MemoryStorage {
  readonly #of: MemoryStorage;
  #held: (() => void)[] | undefined;

  constructor(of: MemoryStorage) {
    super();
    this.#of = of;
    for (const name of ['get', 'list', 'createAll', 'delete'] as const) Object.assign(this, { [name]: of[name].bind(of) });
  }
  override async create(...write: Parameters<MemoryStorage['create']>): Promise<WriteResult> {
    return this.#tellWhenGuarded(await this.#of.create(...write));
  }
  override async update(...write: Parameters<MemoryStorage['update']>): Promise<WriteResult> {
    return this.#tellWhenGuarded(await this.#of.update(...write));
  }
  #tellWhenGuarded(result: WriteResult): WriteResult {
    if (!result.succeeded && result.guardRevision !== undefined) setImmediate(() => this.tell());
    return result;
  }
  hold(): void {
    this.#held = [];
  }
  tell(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const tell of held) tell();
  }
  override watch(options: WatchOptions): Promise<void> {
    const onEvents = (events: readonly StorageEvent[], revision: number): void => {
      if (this.#held === undefined) options.onEvents(events, revision);
      else this.#held.push(() => options.onEvents(events, revision));
    };
    return this.#of.watch({ ...options, onEvents });
  }
  override requestProgress(): void {
    this.#of.requestProgress();
  }
}

const storage = new MemoryStorage();
const late = new LateStorage(storage);
const [first, second] = [await startTestServer({ storage }), await startTestServer({ storage: late })];
after(() => Promise.all([first.close(), second.close()]));

const URL = '/api/v1/namespaces/default/services';
const service = (name: string, spec: object = {}): object => ({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { type: 'NodePort', ports: [{ port: 80 }], ...spec } });

test('of two servers only one gives out an address or a port, though the other has not heard of it', async () => {
  late.hold();
  const taken = await first.post(URL, service('first', { clusterIP: '10.96.7.7', ports: [{ port: 80, nodePort: 30777 }] }));
  assert.equal(taken.code, 201, taken.text);
  const address = second.post(URL, service('same-address', { clusterIP: '10.96.7.7' }));
  const port = second.post(URL, service('same-port', { ports: [{ port: 80, nodePort: 30777 }] }));
  const other = second.post(URL, service('other'));
  assert.equal((await other).code, 201);
  assert.match((await address).text, /provided IP is already allocated/);
  assert.match((await port).text, /provided port is already allocated/);
});

test('a server that was dealt what another one had just dealt takes another', async () => {
  // Both deal from the same random numbers: without a guard they would deal the same.
  for (let round = 0; round < 5; round += 1) {
    late.hold();
    const made = [first.post(URL, service(`a${round}`)), second.post(URL, service(`b${round}`)), first.post(URL, service(`c${round}`)), second.post(URL, service(`d${round}`))];
    for (const answer of await Promise.all(made)) assert.equal(answer.code, 201, answer.text);
    late.tell();
  }
  const { items } = (await first.get(URL)).json as unknown as { items: Service[] };
  const distinct = (of: (item: Service) => unknown): number => new Set(items.map(of)).size;
  assert.equal(distinct(({ spec }) => spec?.clusterIP), items.length);
  assert.equal(distinct(({ spec }) => spec?.ports?.[0]?.nodePort), items.length);
});

test('an update that takes a port is guarded, too', async () => {
  assert.equal((await first.post(URL, service('plain', { type: 'ClusterIP' }))).code, 201);
  late.hold();
  assert.equal((await first.post(URL, service('holder', { ports: [{ port: 80, nodePort: 30888 }] }))).code, 201);
  const patched = second.patch(`${URL}/plain`, 'merge', { spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 30888 }] } });
  assert.match((await patched).text, /provided port is already allocated/);
});
