import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '#lib/environment/random.ts';
import { HOSTS, hostsWith } from '../cluster-layout.ts';
import { processesOf } from './breakable.ts';
import { parseClock } from '../faults/clock.ts';
import { parseDisk } from '../faults/disk.ts';
import { parseLimit } from '../faults/limits.ts';
import { parseSlowness } from '../faults/network/netem.ts';
import { sidesOf } from '../faults/network/partition.ts';
import { parseSelector } from '../selector.ts';
import { MENU } from './menu.ts';
import { planFault } from './soak-plan.ts';

const WORLD = { processes: processesOf(HOSTS), hosts: HOSTS.map(({ name }) => name) };
const plan = (seed: number, count: number, world = WORLD) => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => planFault(random, MENU, world));
};

test('the same seed plans the same faults, another one others', () => {
  assert.deepEqual(plan(7, 200), plan(7, 200));
  assert.notDeepEqual(plan(7, 200), plan(8, 200));
});

test('there are at least three a minute, however the pauses fall, and all kinds have their turn', () => {
  const faults = plan(1, 500);
  for (let start = 0; start + 3 <= faults.length; start += 1) assert.ok(faults.slice(start, start + 3).reduce((sum, { afterMs }) => sum + afterMs, 0) <= 60_000);
  assert.deepEqual(new Set(faults.map(({ name }) => name)), new Set(MENU.map(({ name }) => name)));
});

test('every process and every host is broken sooner or later, and nothing is cut from itself', () => {
  for (const hosts of [HOSTS, hostsWith(2, 3)]) {
    const world = { processes: processesOf(hosts), hosts: hosts.map(({ name }) => name) };
    const faults = plan(3, 3_000, world);
    const touched = new Set(faults.flatMap(({ words }) => words.args));
    assert.deepEqual([...world.processes, ...world.hosts].filter((each) => !touched.has(each)), []);
    assert.deepEqual(faults.filter(({ words: { args } }) => args.includes(undefined as unknown as string) || new Set(args).size !== args.length), []);
  }
});

test('most faults are short, some last until nodes are given up', () => {
  const lasting = plan(2, 1_000).flatMap(({ forMs }) => forMs ?? []);
  const long = lasting.filter((forMs) => forMs >= 60_000).length / lasting.length;
  assert.ok(long > 0.03 && long < 0.12, String(long));
});

test('what is planned are words that the faults understand', () => {
  for (const hosts of [HOSTS, hostsWith(2, 3)]) {
    for (const { name, words } of plan(4, 2_000, { processes: processesOf(hosts), hosts: hosts.map((host) => host.name) })) {
      const { args } = words;
      switch (name) {
        case 'kill': case 'stop': case 'pause': parseSelector({ hosts }, args[0] ?? ''); break;
        case 'disk': parseDisk(hosts, words); break;
        case 'clock': parseClock(words); break;
        case 'cpu': case 'memory': parseLimit(words, name); break;
        case 'netem': parseSlowness(words); break;
        case 'partition': sidesOf({ hosts }, args[0] ?? '', args[1] ?? ''); break;
        case 'reboot': case 'poweroff': case 'isolate': case 'dns': assert.equal(args.length, name === 'dns' ? 0 : 1); break;
        default: assert.fail(`${name} is not looked at here`);
      }
    }
  }
});
