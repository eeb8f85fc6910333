// What an endurance run may break, and with which words: each line draws the words of one fault command from the random sequence.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import type { FaultWords } from '../faults/fault.ts';
import { UserError } from '../user-error.ts';

/** What there is to break. */
export interface World {
  /** COMPONENT@HOST, or COMPONENT for those that may run anywhere. */
  readonly processes: readonly string[];
  readonly hosts: readonly string[];
}

export interface Dish {
  /** The word of the command line. */
  readonly name: string;
  /** How often, against others. */
  readonly weight: number;
  /** Nothing of it lasts: it is done, and over. */
  readonly isMomentary?: true;
  words(random: Random, world: World): FaultWords;
}

const pick = <T>(random: Random, items: readonly T[]): T => items[integerBelow(random, items.length)] as T;
const between = (random: Random, least: number, most: number): number => least + integerBelow(random, most - least + 1);
const isOneIn = (random: Random, count: number): boolean => integerBelow(random, count) === 0;

const words = (args: readonly string[], options: FaultWords['options'] = {}): FaultWords => ({ args, options });
const process = (random: Random, { processes }: World): FaultWords => words([pick(random, processes)]);
const host = (random: Random, { hosts }: World): FaultWords => words([pick(random, hosts)]);

function twoHosts(random: Random, { hosts }: World): string[] {
  const first = pick(random, hosts);
  return [first, pick(random, hosts.filter((name) => name !== first))];
}

/** Who asks whom; the first of each pair opens the connections. Instances are chosen for those that have a host of their own. */
const CONVERSATIONS: readonly (readonly [string, string])[] = [
  ['apiserver', 'etcd'], ['controller-manager', 'apiserver'], ['scheduler', 'apiserver'], ['kubelet', 'apiserver'], ['kube-proxy', 'apiserver'], ['calico-node', 'apiserver'],
  ['coredns', 'apiserver'], ['calico-kube-controllers', 'apiserver'], ['metrics-server', 'kubelet'], ['apiserver', 'kubelet'], ['etcd', 'etcd'],
];

/** Two processes that talk to each other. */
function conversation(random: Random, world: World): string[] {
  const instances = (component: string): string[] => world.processes.filter((name) => name === component || name.startsWith(`${component}@`));
  const possible = CONVERSATIONS.filter(([from, to]) => from !== to ? instances(from).length > 0 && instances(to).length > 0 : instances(from).length > 1);
  const [from, to] = pick(random, possible);
  const client = pick(random, instances(from));
  const servers = instances(to).filter((name) => name !== client);
  // Of several API servers each host's balancer chooses one: who is cut off, is cut off from all.
  return [client, to === 'apiserver' && servers.length > 1 ? to : pick(random, servers)];
}

/** A full disk of a node is left out: the node keeps its DiskPressure for five minutes afterwards, and its pods away. */
function disk(random: Random, { processes }: World): FaultWords {
  const chosen = pick(random, processes.filter((name) => /^(etcd|container-runtime)@/.test(name)));
  const slow = { slow: `${between(random, 50, 500)}ms` };
  return words([chosen], chosen.startsWith('etcd@') ? pick<FaultWords['options']>(random, [slow, { full: true }, { 'fail-fsync': true }]) : slow);
}

const link = (random: Random, world: World): string[] => (isOneIn(random, 2) ? twoHosts(random, world) : conversation(random, world));

/** What is wrong with a slow network, one or two things of it. */
function impairment(random: Random): Record<string, string> {
  switch (integerBelow(random, 4)) {
    case 0: return { delay: `${between(random, 20, 300)}ms` };
    case 1: return { delay: `${between(random, 20, 200)}ms`, jitter: `${between(random, 5, 20)}ms` };
    case 2: return { loss: `${between(random, 5, 40)}%` };
    default: return { rate: `${between(random, 256, 4096)}kbit` };
  }
}

/** When a clock that was ahead is right again, renewals of the node's Lease do not count until time has caught up: it must within the time to be whole. */
const MOST_SKEW_S = 300;

export const MENU: readonly Dish[] = [
  { name: 'kill', weight: 6, isMomentary: true, words: process },
  { name: 'stop', weight: 3, words: process },
  { name: 'pause', weight: 4, words: process },
  { name: 'reboot', weight: 2, isMomentary: true, words: host },
  { name: 'poweroff', weight: 2, words: host },
  { name: 'partition', weight: 5, words: (random, world) => words(link(random, world), isOneIn(random, 3) ? { 'one-way': true } : {}) },
  { name: 'isolate', weight: 2, words: host },
  { name: 'netem', weight: 4, words: (random, world) => words(isOneIn(random, 2) ? [pick(random, world.hosts)] : twoHosts(random, world), impairment(random)) },
  { name: 'dns', weight: 1, words: (random) => words([], { break: true, mode: pick(random, ['timeout', 'servfail', 'nxdomain']) }) },
  { name: 'clock', weight: 1, words: (random, world) => words([pick(random, world.hosts)], { skew: `${pick(random, ['+', '-'])}${between(random, 5, MOST_SKEW_S)}s` }) },
  { name: 'disk', weight: 2, words: disk },
  { name: 'cpu', weight: 2, words: (random, world) => words([pick(random, world.hosts)], { limit: `0.${between(random, 1, 5)}` }) },
  { name: 'memory', weight: 1, words: (random, world) => words([pick(random, world.hosts)], { limit: `${between(random, 192, 512)}Mi` }) },
];

/** Throws UserError for a word that is no fault of these. Kinds that this build cannot make are left out. */
export function chooseFaults({ only, without = [] }: { only?: readonly string[]; without?: readonly string[] }): readonly Dish[] {
  const names = MENU.map(({ name }) => name);
  const unknown = [...(only ?? []), ...without].filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new UserError(`chaos breaks nothing by ${unknown.join(', ')}; there are ${names.join(', ')}`, 2);
  const chosen = MENU.filter(({ name }) => (only?.includes(name) ?? true) && !without.includes(name));
  if (chosen.length === 0) throw new UserError('nothing is left to break', 2);
  return chosen;
}
