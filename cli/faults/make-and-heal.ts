// Making faults and undoing them: one order of steps for all kinds, so that nothing is broken that is not written down.
import { systemClock } from '#lib/environment/clock.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { startTicksOf } from '../local/proc.ts';
import { noteFault, noteHeal } from '../record/active.ts';
import { UserError } from '../user-error.ts';
import type { FaultKind, FaultRecord, FaultWords } from './fault.ts';
import { FaultStore, isAlive } from './fault-store.ts';
import { FAULT_KINDS } from './kinds.ts';
import { startTimer } from './timer.ts';

type AnyKind = FaultKind<unknown>;

/** Longest wait for a fault that somebody else is making; milliseconds. */
const MAKING_DEADLINE_MS = 60_000;
const POLL_MS = 50;
/** Who is late by this much is not coming: its timer was killed; milliseconds. */
const OVERDUE_MS = 1_000;

export function faultKind(name: string): AnyKind {
  const kind = FAULT_KINDS.find((each) => each.name === name);
  if (!kind) throw new UserError(`no fault is called "${name}"; there are ${FAULT_KINDS.map((each) => each.name).join(', ')}`, 2);
  return kind;
}

export interface MadeFault extends FaultRecord {
  /** Nothing is left to undo. */
  readonly isOver?: boolean;
  /** What its kind has to say of it. */
  readonly note?: string;
}

/** Resolves when it is in force; `forMs` counts from then. When it cannot be made, what was done is undone before the error is thrown. */
export async function makeFault(cluster: ClusterAccess, name: string, words: FaultWords, forMs?: number): Promise<MadeFault> {
  const kind = faultKind(name);
  const store = new FaultStore(cluster);
  const id = store.newId();
  const plan = await kind.plan(cluster, { ...words, ...(forMs !== undefined && { forMs }) }, id).catch((error: unknown) => {
    store.giveBackId(id);
    throw error;
  });
  const sinceMs = systemClock.nowMs();
  const record: FaultRecord = {
    id, kind: name, text: textOf(name, words), sinceMs, ...(forMs !== undefined && { untilMs: sinceMs + forMs }), runId: cluster.runId, plan,
    maker: { pid: process.pid, startTicks: startTicksOf(process.pid) ?? '' },
  };
  store.write(record);
  let note: string | void;
  try {
    note = await kind.apply(cluster, plan);
  } catch (error) {
    await healFault(cluster, record).catch((undoing: unknown) => {
      throw new UserError(`${messageOf(error)}; what was done until then could not be undone: ${messageOf(undoing)}. Try: kubreak heal ${id}`);
    });
    throw error;
  }
  noteFault(cluster, { id, kind: name, args: words.args, options: words.options, ...(forMs !== undefined && { forMs }) }, sinceMs);
  const { maker: _, ...made } = record;
  if (kind.isMomentary && forMs === undefined) {
    store.forget(id);
    store.giveBackId(id);
    return { ...made, isOver: true, ...(typeof note === 'string' && { note }) };
  }
  const untilMs = forMs === undefined ? undefined : systemClock.nowMs() + forMs;
  const lasting = untilMs === undefined ? made : { ...made, untilMs, timer: startTimer(cluster, id, store.logFile) };
  store.write(lasting);
  return { ...lasting, ...(typeof note === 'string' && { note }) };
}

/** Undoes it and forgets it. Done already: nothing happens. */
export async function healFault(cluster: ClusterAccess, { id }: Pick<FaultRecord, 'id'>): Promise<void> {
  const store = new FaultStore(cluster);
  const record = await onceMade(store, id);
  if (!record) return;
  await faultKind(record.kind).undo(cluster, record.plan);
  store.forget(id);
  noteHeal(cluster, id);
}

/** Whoever makes it is given the time to: its steps and those that undo them must not mix. */
async function onceMade(store: FaultStore, id: string): Promise<FaultRecord | undefined> {
  const deadlineMs = systemClock.nowMs() + MAKING_DEADLINE_MS;
  for (;;) {
    const record = store.read(id);
    if (!record?.maker || record.maker.pid === process.pid || !isAlive(record.maker)) return record;
    if (systemClock.nowMs() > deadlineMs) throw new UserError(`${id} is still being made (process ${record.maker.pid})`);
    await systemClock.sleep(POLL_MS);
  }
}

export interface FaultReport {
  readonly record: FaultRecord;
  /** `gone`: others have undone it, or what was broken is no more. `in part`: who made it was killed meanwhile, or some of it is no more. */
  readonly state: 'in force' | 'gone' | 'being made' | 'in part' | 'unknown';
  /** Why it is unknown. */
  readonly problem?: string;
}

export function reportFaults(cluster: ClusterAccess): Promise<FaultReport[]> {
  return Promise.all(new FaultStore(cluster).list().map(async (record): Promise<FaultReport> => {
    if (record.maker) return { record, state: isAlive(record.maker) ? 'being made' : 'in part' };
    try {
      const isInForce = await faultKind(record.kind).isInForce(cluster, record.plan);
      return { record, state: isInForce === 'in part' ? isInForce : isInForce ? 'in force' : 'gone' };
    } catch (error) {
      return { record, state: 'unknown', problem: messageOf(error) };
    }
  }));
}

/** What is over its time because its timer was killed. Resolves with what was undone. */
export async function healOverdue(cluster: ClusterAccess): Promise<FaultRecord[]> {
  const nowMs = systemClock.nowMs();
  const overdue = new FaultStore(cluster).list().filter(({ untilMs, maker, timer }) => untilMs !== undefined && untilMs + OVERDUE_MS < nowMs && !isAlive(maker) && !isAlive(timer));
  for (const record of overdue) await healFault(cluster, record);
  return overdue;
}

/** After a lever that undoes what faults of these kinds do (`resume` after `pause`): those that are no more are forgotten. */
export async function forgetGone(cluster: ClusterAccess, kinds: readonly string[]): Promise<void> {
  const store = new FaultStore(cluster);
  for (const { id, kind, plan, maker } of store.list()) {
    if (kinds.includes(kind) && !maker && !(await faultKind(kind).isInForce(cluster, plan))) store.forget(id);
  }
}

/** `w1-k8s w2-k8s` and `{ delay: '50ms', 'one-way': true }` as they are typed. */
export function textOf(name: string, { args, options }: FaultWords): string {
  const typed = Object.entries(options).flatMap(([option, value]) => (value === false ? [] : value === true ? [`--${option}`] : [`--${option} ${value}`]));
  return [name, ...args, ...typed].join(' ');
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
