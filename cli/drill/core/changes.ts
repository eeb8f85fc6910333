// What objects say of themselves, in a few words: a change of these words is an entry of the timeline.
import { podColumns } from '#lib/kinds/core/pod-columns.ts';
import type { Lease } from '#lib/kinds/types/coordination-v1.ts';
import type { Event, Node, Pod } from '#lib/kinds/types/core-v1.ts';
import type { SeenEvent } from './rules.ts';
import type { Tone } from './timeline.ts';

export interface State {
  readonly state: string;
  readonly text: string;
  readonly tone: Tone;
}

export function nodeState({ spec, status }: Node): State {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const pressures = (status?.conditions ?? []).filter(({ type, status: is }) => type !== 'Ready' && is === 'True').map(({ type }) => type);
  const taints = (spec?.taints ?? []).filter(({ key }) => key.startsWith('node.kubernetes.io/')).map(({ key, effect }) => `${key.slice('node.kubernetes.io/'.length)}:${effect}`).sort();
  const word = ready?.status === 'True' ? 'Ready' : ready?.status === 'Unknown' ? 'Unknown' : 'NotReady';
  const state = [word, ...pressures, ...(spec?.unschedulable === true ? ['SchedulingDisabled'] : []), ...(taints.length > 0 ? [`tainted ${taints.join(' ')}`] : [])].join(', ');
  return { state, text: `is ${state}${word === 'Ready' || ready?.reason === undefined ? '' : ` (${ready.reason})`}`, tone: word !== 'Ready' ? 'bad' : state === 'Ready' ? 'good' : 'waiting' };
}

const column = (name: string): ((pod: Pod) => string) => {
  const found = podColumns.find((each) => each.name === name);
  return (pod) => String(found?.value(pod, 0) ?? '');
};
const [readyOf, statusOf] = [column('Ready'), column('Status')];

/** As `kubectl get pods` has it. */
export function podState(pod: Pod): State {
  const restarts = (pod.status?.containerStatuses ?? []).reduce((sum, { restartCount }) => sum + restartCount, 0);
  const [ready = '', total = ''] = readyOf(pod).split('/');
  const status = statusOf(pod);
  const state = `${status} ${ready}/${total}${restarts > 0 ? `, ${restarts} restart${restarts > 1 ? 's' : ''}` : ''}`;
  const tone: Tone = status === 'Running' && ready === total ? 'good' : status === 'Completed' ? 'plain' : /Error|BackOff|Unknown|Evicted|Failed/.test(status) ? 'bad' : 'waiting';
  return { state, text: `is ${state}${pod.spec?.nodeName === undefined || pod.spec.nodeName === '' ? '' : ` on ${pod.spec.nodeName}`}${pod.status?.podIP === undefined ? '' : ` ${pod.status.podIP}`}`, tone };
}

export function leaseState({ spec }: Lease): State {
  const holder = spec?.holderIdentity ?? '';
  const host = holder.split('_')[0] ?? '';
  return { state: holder, text: holder === '' ? 'is held by nobody' : `is held by ${host} (${holder.slice(host.length + 1, host.length + 9)})`, tone: holder === '' ? 'waiting' : 'good' };
}

/** Whole seconds are all that the older form of events tells. */
export function seenEvent({ reason, message, type, source, reportingComponent, involvedObject, count, series, eventTime, firstTimestamp, lastTimestamp, metadata }: Event): SeenEvent {
  const times = [series?.lastObservedTime, lastTimestamp, eventTime, firstTimestamp, metadata.creationTimestamp].map((time) => Date.parse(time ?? '')).filter((time) => !Number.isNaN(time));
  return {
    uid: metadata.uid ?? '', reason: reason ?? '', message: message ?? '', type: type ?? '', from: source?.component || reportingComponent || '',
    object: `${(involvedObject.kind ?? '').toLowerCase()}/${involvedObject.name ?? ''}`, count: series?.count ?? count ?? 1, lastMs: times.length === 0 ? 0 : Math.max(...times),
  };
}
