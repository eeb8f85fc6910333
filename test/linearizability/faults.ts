// What is broken when, drawn from a seed, and how it is done and mended.
import { integerBelow, type Random } from '#lib/environment/random.ts';
import { pause } from './clients.ts';
import { Cluster } from './cluster.ts';
import type { FaultRecord } from './history.ts';

export type Fault = 'kill' | 'restart' | 'pause' | 'isolate' | 'isolate-in' | 'isolate-out' | 'split-pair' | 'unreachable' | 'stall' | 'kill-all' | 'clock';

export interface Damage {
  readonly fault: Fault;
  /** Which member; 'leader': whoever it is then. */
  readonly target: number | 'leader';
  /** Quiet time before it; milliseconds. */
  readonly afterMs: number;
  readonly forMs: number;
  /** Of a clock. */
  readonly stepS: number;
}

export const WEIGHTS: Readonly<Record<Fault, number>> = { kill: 5, restart: 1, pause: 3, isolate: 3, 'isolate-in': 2, 'isolate-out': 2, 'split-pair': 2, unreachable: 1, stall: 3, 'kill-all': 1, clock: 2 };
/** They need somebody to be cut off from. */
const BETWEEN_MEMBERS: readonly Fault[] = ['isolate', 'isolate-in', 'isolate-out', 'split-pair'];
const MOST_QUIET_MS = 2_500;
const LEAST_BROKEN_MS = 300;
const MOST_BROKEN_MS = 5_000;
/** Either way. */
const MOST_CLOCK_STEP_S = 3_600;
const STALL = 'walBeforeSync';

/** `withStalls`: the members have fail points. `only`: no others; empty: all. */
export function nextDamage(random: Random, members: number, withStalls: boolean, only: readonly string[]): Damage {
  const faults = (Object.keys(WEIGHTS) as Fault[]).filter((fault) => only.length === 0 || only.includes(fault)).filter((fault) => (members > 1 || !BETWEEN_MEMBERS.includes(fault)) && (withStalls || fault !== 'stall') && (members > 1 || fault !== 'kill-all') && (Cluster.hasClocks || fault !== 'clock'));
  const weighted = faults.flatMap((fault) => Array.from({ length: WEIGHTS[fault] }, () => fault));
  return {
    fault: weighted[integerBelow(random, weighted.length)] as Fault,
    target: integerBelow(random, 2) === 0 ? 'leader' : integerBelow(random, members),
    afterMs: integerBelow(random, MOST_QUIET_MS), forMs: LEAST_BROKEN_MS + integerBelow(random, MOST_BROKEN_MS - LEAST_BROKEN_MS), stepS: integerBelow(random, 2 * MOST_CLOCK_STEP_S) - MOST_CLOCK_STEP_S,
  };
}

/** Breaks, waits, mends. `log` is told when it begins. */
export async function breakAndMend(cluster: Cluster, { fault, target, forMs, stepS }: Damage, faults: FaultRecord[], nowMs: () => number, log: (line: string) => void): Promise<void> {
  const wanted = target === 'leader' ? await cluster.leader() : target;
  const { active } = cluster;
  const member = wanted !== undefined && active.includes(wanted) ? wanted : active[(wanted ?? 0) % active.length] as number;
  const others = active.filter((at) => at !== member);
  const record: FaultRecord = { what: `${fault} m${member + 1}${target === 'leader' ? ' (leader)' : ''}`, startMs: nowMs(), endMs: Infinity };
  faults.push(record);
  log(`${record.what} for ${forMs} ms`);
  await cluster.whileBroken(fault === 'kill-all' ? active : [member], () => carryOut(cluster, { fault, forMs, stepS }, member, others));
  record.endMs = nowMs();
}

async function carryOut(cluster: Cluster, { fault, forMs, stepS }: Pick<Damage, 'fault' | 'forMs' | 'stepS'>, member: number, others: readonly number[]): Promise<void> {
  switch (fault) {
    case 'kill':
    case 'restart':
      await cluster.end(member, fault === 'kill' ? 'SIGKILL' : 'SIGTERM');
      await pause(forMs / 3);
      cluster.boot(member);
      break;
    case 'kill-all':
      await Promise.all([member, ...others].map((at) => cluster.end(at, 'SIGKILL')));
      for (const at of [...others, member]) cluster.boot(at);
      break;
    case 'pause':
      cluster.signal(member, 'SIGSTOP');
      await pause(forMs);
      cluster.signal(member, 'SIGCONT');
      break;
    case 'isolate': await cutFor(cluster, forMs, others.flatMap((other) => [{ from: other, to: member }, { from: member, to: other }])); break;
    case 'isolate-in': await cutFor(cluster, forMs, others.map((other) => ({ from: other, to: member }))); break;
    case 'isolate-out': await cutFor(cluster, forMs, others.map((other) => ({ from: member, to: other }))); break;
    case 'split-pair': await cutFor(cluster, forMs, others.slice(0, 1).flatMap((other) => [{ from: other, to: member }, { from: member, to: other }])); break;
    case 'unreachable': await cutFor(cluster, forMs, [{ from: 'clients', to: member }]); break;
    case 'stall':
      await cluster.setFailPoint(member, STALL, `sleep(${forMs})`);
      await pause(forMs);
      await cluster.setFailPoint(member, STALL, 'off');
      break;
    case 'clock':
      cluster.setClock(member, stepS);
      await pause(forMs);
      cluster.setClock(member, 0);
  }
}

async function cutFor(cluster: Cluster, forMs: number, links: Parameters<Cluster['cut']>[0]): Promise<void> {
  cluster.cut(links);
  await pause(forMs);
  cluster.mend();
}
