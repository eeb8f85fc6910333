// Making faults and undoing them: one order of steps for all kinds, so that nothing is broken that is not written down.
import { systemClock } from '#lib/environment/clock.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';
import type { FaultKind, FaultRecord, FaultWords } from './fault.ts';
import { FaultStore } from './fault-store.ts';
import { FAULT_KINDS } from './kinds.ts';

type AnyKind = FaultKind<unknown>;

export function faultKind(name: string): AnyKind {
  const kind = FAULT_KINDS.find((each) => each.name === name);
  if (!kind) throw new UserError(`no fault is called "${name}"; there are ${FAULT_KINDS.map((each) => each.name).join(', ')}`, 2);
  return kind;
}

/** Resolves when it is in force. When it cannot be made, what was done is undone before the error is thrown. */
export async function makeFault(cluster: ClusterAccess, name: string, words: FaultWords, forMs?: number): Promise<FaultRecord> {
  const kind = faultKind(name);
  const store = new FaultStore(cluster);
  const id = store.newId();
  const plan = await kind.plan(cluster, words, id);
  const sinceMs = systemClock.nowMs();
  const record: FaultRecord = {
    id, kind: name, text: textOf(name, words), sinceMs, ...(forMs !== undefined && { untilMs: sinceMs + forMs }), runId: cluster.runId, plan,
  };
  store.write(record);
  try {
    await kind.apply(cluster, plan);
  } catch (error) {
    await healFault(cluster, record);
    throw error;
  }
  return record;
}

export async function healFault(cluster: ClusterAccess, record: FaultRecord): Promise<void> {
  await faultKind(record.kind).undo(cluster, record.plan);
  new FaultStore(cluster).forget(record.id);
}

/** `w1-k8s w2-k8s` and `{ delay: '50ms', 'one-way': true }` as they are typed. */
export function textOf(name: string, { args, options }: FaultWords): string {
  const typed = Object.entries(options).flatMap(([option, value]) => (value === false ? [] : value === true ? [`--${option}`] : [`--${option} ${value}`]));
  return [name, ...args, ...typed].join(' ');
}
