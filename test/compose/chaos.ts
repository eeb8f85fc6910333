// Breaks a cluster in containers at random, round after round, and waits for it to come back whole:
//   node --import tsx test/compose/chaos.ts [ROUNDS] [SEED]
import { randomInt } from 'node:crypto';
import { HOSTS } from '../../cli/cluster-layout.ts';
import { ComposeCluster } from './cluster.ts';

const rounds = Number(process.argv[2] ?? 10);
const seed = Number(process.argv[3] ?? randomInt(1_000_000));
const PROCESSES = ['etcd', 'apiserver', 'controller-manager', 'scheduler'];
const hosts = HOSTS.map(({ name }) => name);

/** mulberry32: the same seed, the same run. */
let state = seed;
function random(limit: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
}
const pick = <T>(items: readonly T[]): T => items[random(items.length)] as T;

const cluster = await ComposeCluster.start();
const addresses = new Map(HOSTS.map(({ name, address }) => [name, address]));

/** What may fail: the container may be down already from an action before. */
const actions: readonly ((log: (text: string) => void) => Promise<unknown>)[] = [
  (log) => { const name = pick([...PROCESSES, ...hosts]); log(`kill ${name}`); return cluster.compose(['kill', name]); },
  (log) => { const name = pick([...PROCESSES, ...hosts]); log(`pause ${name}`); return cluster.compose(['pause', name]); },
  (log) => { const name = pick([...PROCESSES, ...hosts]); log(`restart ${name}`); return cluster.compose(['restart', '-t', '1', name]); },
  (log) => { const name = pick([...PROCESSES, ...hosts]); log(`stop ${name}`); return cluster.compose(['stop', '-t', '2', name]); },
  (log) => { const name = pick(hosts); log(`reboot ${name}`); return cluster.on(name, 'reboot'); },
  (log) => { const name = pick(hosts); log(`disconnect ${name}`); return cluster.docker('network', 'disconnect', cluster.network, name).catch(() => ''); },
  (log) => { const name = pick(['etcd', 'apiserver', 'kubelet', 'container-runtime', 'kube-proxy', 'calico-node', 'coredns']); log(`kubreak kill ${name}`); return cluster.kubreak(['kill', name]); },
];

async function heal(): Promise<void> {
  for (const name of [...PROCESSES, ...hosts]) if (cluster.state(name) === 'paused') await cluster.composeOk(['unpause', name]);
  for (const name of hosts) {
    const { stdout } = await cluster.inspect(name, '{{len .NetworkSettings.Networks}}');
    if (stdout.trim() === '0') await cluster.docker('network', 'connect', '--ip', addresses.get(name) ?? '', cluster.network, name);
  }
  await cluster.up();
}

process.stdout.write(`seed ${seed}\n`);
try {
  await cluster.whole();
  for (let round = 1; round <= rounds; round += 1) {
    const done: string[] = [];
    for (let count = 1 + random(3); count > 0; count -= 1) await pick(actions)((text) => done.push(text));
    const startedMs = performance.now();
    await heal();
    await cluster.whole(300_000);
    process.stdout.write(`round ${round}: ${done.join(', ')}; whole after ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
  }
} finally {
  if (process.env['KEEP'] === undefined) await cluster.down();
}
