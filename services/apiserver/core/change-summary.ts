// What a write changed, in a line for people: what traces tell of it.
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';

/** Characters; longer ones are cut. */
const MAX_LENGTH = 300;
const MAX_NAMES = 6;

type Fields = Readonly<Record<string, unknown>>;

const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null && !Array.isArray(value) ? value as Fields : {});
const listOf = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.map(fieldsOf) : []);
const text = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : '');
const part = (object: KubernetesObject | undefined, name: string): Fields => fieldsOf((object as Fields | undefined)?.[name]);

/** Numbers and words of spec and status that say the most; by their path. */
const TOLD: readonly (readonly ['spec' | 'status', string])[] = [
  ['spec', 'replicas'], ['spec', 'paused'], ['spec', 'suspend'], ['spec', 'parallelism'], ['spec', 'nodeName'], ['spec', 'unschedulable'], ['spec', 'clusterIP'], ['spec', 'type'], ['spec', 'volumeName'],
  ['status', 'phase'], ['status', 'podIP'], ['status', 'nominatedNodeName'],
  ['status', 'replicas'], ['status', 'updatedReplicas'], ['status', 'readyReplicas'], ['status', 'availableReplicas'], ['status', 'unavailableReplicas'],
  ['status', 'desiredNumberScheduled'], ['status', 'numberReady'], ['status', 'active'], ['status', 'succeeded'], ['status', 'failed'], ['status', 'disruptionsAllowed'],
];

function* told(next: KubernetesObject, previous: KubernetesObject | undefined): Generator<string> {
  for (const [section, field] of TOLD) {
    const [after, before] = [text(part(next, section)[field]), text(part(previous, section)[field])];
    if (after === before) continue;
    if (!previous && section === 'status') continue;
    yield before === '' ? `${field}=${after}` : `${field} ${before}→${after === '' ? 'none' : after}`;
  }
}

function* conditions(next: KubernetesObject, previous: KubernetesObject | undefined): Generator<string> {
  const known = new Map(listOf(part(previous, 'status')['conditions']).map((condition) => [condition['type'], condition]));
  for (const condition of listOf(part(next, 'status')['conditions'])) {
    const before = known.get(condition['type']);
    const [is, was] = [text(condition['status']), text(before?.['status'])];
    if (is === was) continue;
    const reason = text(condition['reason']);
    yield `${text(condition['type'])}${was === '' ? '=' : ` ${was}→`}${is}${reason === '' || is === 'True' ? '' : ` (${reason})`}`;
  }
}

function stateOf(status: Fields | undefined): string {
  const [name, state] = Object.entries(fieldsOf(status?.['state']))[0] ?? [];
  if (name === undefined) return '';
  const { reason, exitCode } = fieldsOf(state) as { reason?: unknown; exitCode?: unknown };
  const detail = [text(reason), name === 'terminated' ? `exit code ${text(exitCode)}` : ''].filter((one) => one !== '').join(', ');
  return detail === '' ? name : `${name} (${detail})`;
}

function* containers(next: KubernetesObject, previous: KubernetesObject | undefined): Generator<string> {
  for (const field of ['initContainerStatuses', 'containerStatuses', 'ephemeralContainerStatuses']) {
    const known = new Map(listOf(part(previous, 'status')[field]).map((status) => [status['name'], status]));
    for (const status of listOf(part(next, 'status')[field])) {
      const before = known.get(status['name']);
      const [is, was] = [stateOf(status), stateOf(before)];
      const name = text(status['name']);
      if (is !== was) yield `${name} ${is}`;
      if (text(status['restartCount']) !== text(before?.['restartCount'] ?? 0)) yield `${name} restarts=${text(status['restartCount'])}`;
    }
  }
}

const taintText = (taint: Fields): string => `${text(taint['key'])}:${text(taint['effect'])}`;

function* taints(next: KubernetesObject, previous: KubernetesObject | undefined): Generator<string> {
  const [after, before] = [listOf(part(next, 'spec')['taints']).map(taintText), listOf(part(previous, 'spec')['taints']).map(taintText)];
  for (const taint of after) if (!before.includes(taint)) yield `+taint ${taint}`;
  for (const taint of before) if (!after.includes(taint)) yield `-taint ${taint}`;
}

function* endpoints(next: KubernetesObject, previous: KubernetesObject | undefined): Generator<string> {
  const lines = (object: KubernetesObject | undefined): Map<string, string> => new Map(listOf((object as Fields | undefined)?.['endpoints']).map(({ addresses, conditions: state }) => {
    const { ready, serving, terminating } = fieldsOf(state);
    const words = [ready === true ? 'ready' : 'not ready', ...(terminating === true ? [`terminating${serving === true ? ', serving' : ''}`] : [])];
    return [Array.isArray(addresses) ? text(addresses[0]) : '', words.join(', ')];
  }));
  const [after, before] = [lines(next), lines(previous)];
  for (const [address, state] of after) if (before.get(address) !== state) yield `${before.has(address) ? '' : '+'}${address} ${state}`;
  for (const address of before.keys()) if (!after.has(address)) yield `-${address}`;
}

function* images(next: KubernetesObject, previous: KubernetesObject): Generator<string> {
  const of = (object: KubernetesObject): ReadonlyMap<string, string> =>
    new Map([...listOf(part(object, 'spec')['containers']), ...listOf(fieldsOf(fieldsOf(part(object, 'spec')['template'])['spec'])['containers'])].map(({ name, image }) => [text(name), text(image)]));
  const before = of(previous);
  for (const [name, image] of of(next)) if (before.get(name) !== image) yield `image of ${name}=${image}`;
}

function* metadata(next: KubernetesObject, previous: KubernetesObject): Generator<string> {
  const { deletionTimestamp, deletionGracePeriodSeconds: grace } = next.metadata;
  if (deletionTimestamp !== undefined && previous.metadata.deletionTimestamp === undefined) yield grace === undefined ? 'to be deleted' : `to be deleted, grace ${grace} s`;
  for (const field of ['labels', 'annotations'] as const) {
    const [after, before] = [next.metadata[field] ?? {}, previous.metadata[field] ?? {}];
    const changed = [...new Set([...Object.keys(after), ...Object.keys(before)])].filter((key) => after[key] !== before[key]);
    if (changed.length > 0) yield `${field} ${changed.slice(0, MAX_NAMES).join(', ')}`;
  }
  const [after, before] = [next.metadata.finalizers ?? [], previous.metadata.finalizers ?? []];
  for (const one of before) if (!after.includes(one)) yield `-finalizer ${one}`;
  for (const one of after) if (!before.includes(one)) yield `+finalizer ${one}`;
  if (!semanticEqual(next.metadata.ownerReferences, previous.metadata.ownerReferences)) yield 'owners';
}

/** The sections that differ, for what none of the others has words for. */
function* sections(next: KubernetesObject, previous: KubernetesObject): Generator<string> {
  const names = new Set([...Object.keys(next), ...Object.keys(previous)]);
  for (const name of names) if (name !== 'metadata' && !semanticEqual((next as unknown as Fields)[name], (previous as unknown as Fields)[name])) yield name;
}

function eventText(event: Fields): string {
  return `${text(event['reason'])}: ${text(event['note'] ?? event['message'])}`;
}

/** `previous` absent: it was created. */
export function changeSummary(kind: AnyKind, next: KubernetesObject, previous: KubernetesObject | undefined): string {
  if (kind.kind === 'Event') return cut(eventText(next as unknown as Fields));
  const words = [
    ...(previous ? metadata(next, previous) : []), ...told(next, previous), ...(previous ? images(next, previous) : []), ...taints(next, previous),
    ...(previous ? conditions(next, previous) : []), ...containers(next, previous), ...endpoints(next, previous),
  ];
  if (words.length === 0 && previous) words.push(...sections(next, previous));
  return cut(words.join('; '));
}

const cut = (line: string): string => (line.length > MAX_LENGTH ? `${line.slice(0, MAX_LENGTH - 1)}…` : line);

/** uids of those that a write is about besides the object itself: the pods of an EndpointSlice, the object of an Event. */
export function aboutUids(next: KubernetesObject, previous: KubernetesObject | undefined, most: number): string[] {
  const { endpoints: own, involvedObject, regarding } = next as unknown as Fields;
  const uid = text(fieldsOf(regarding)['uid']) || text(fieldsOf(involvedObject)['uid']);
  if (uid !== '') return [uid];
  const targets = (list: unknown): Map<string, Fields> => new Map(listOf(list).flatMap((endpoint) => {
    const target = text(fieldsOf(endpoint['targetRef'])['uid']);
    return target === '' ? [] : [[target, endpoint]];
  }));
  const [after, before] = [targets(own), targets((previous as Fields | undefined)?.['endpoints'])];
  const changed = [...after].filter(([target, endpoint]) => !semanticEqual(endpoint, before.get(target))).map(([target]) => target);
  return [...changed, ...[...before.keys()].filter((target) => !after.has(target))].slice(0, most);
}
