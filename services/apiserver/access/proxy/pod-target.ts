// Where at the kubelet the streams of a pod are, by the query of the client's request. Pure.
// Source: pkg/registry/core/pod/strategy.go, rest/log.go; pkg/apis/core/validation ValidatePodLogOptions.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { forbidden, invalid, notSupported, type FieldError } from '#lib/machinery/field-error.ts';
import { badRequest, invalidObject } from '#lib/machinery/status-error.ts';

/** The container that is meant; throws BadRequest when that is not clear. */
export function chooseContainer(pod: Pod, asked: string): string {
  const name = pod.metadata.name;
  const containers = pod.spec?.containers ?? [];
  const all = [...(pod.spec?.initContainers ?? []), ...containers, ...(pod.spec?.ephemeralContainers ?? [])].map((container) => container.name);
  if (asked !== '') {
    if (!all.includes(asked)) throw badRequest(`container ${asked} is not valid for pod ${name}`);
    return asked;
  }
  const [only] = containers;
  if (only && containers.length === 1) return only.name;
  throw badRequest(`a container name must be specified for pod ${name}${containers.length === 0 ? '' : `, choose one of: [${all.join(' ')}]`}`);
}

const isSet = (query: URLSearchParams, name: string): boolean => {
  const value = query.get(name);
  return value !== null && value !== '0' && value.toLowerCase() !== 'false';
};

/** `exec` or `attach`. */
export function streamTarget(verb: 'exec' | 'attach', pod: Pod, query: URLSearchParams): string {
  const container = chooseContainer(pod, query.get('container') ?? '');
  const target = new URLSearchParams();
  if (verb === 'exec') for (const part of query.getAll('command')) target.append('command', part);
  for (const [name, parameter] of [['stderr', 'error'], ['stdin', 'input'], ['stdout', 'output'], ['tty', 'tty']] as const) {
    if (isSet(query, name)) target.set(parameter, '1');
  }
  return `/${verb}/${pod.metadata.namespace ?? ''}/${pod.metadata.name}/${encodeURIComponent(container)}?${target.toString()}`;
}

export function portForwardTarget(pod: Pod, query: URLSearchParams): string {
  const ports = query.getAll('ports').flatMap((value) => value.split(',')).filter((value) => value !== '');
  return `/portForward/${pod.metadata.namespace ?? ''}/${pod.metadata.name}${ports.length === 0 ? '' : `?port=${ports.join('%2C')}`}`;
}

export interface LogTarget {
  readonly target: string;
  readonly follows: boolean;
}

export function logTarget(pod: Pod, query: URLSearchParams): LogTarget {
  const numbers = { sinceSeconds: integer(query, 'sinceSeconds'), tailLines: integer(query, 'tailLines'), limitBytes: integer(query, 'limitBytes') };
  const sinceTime = query.get('sinceTime') ?? '';
  const stream = query.get('stream') ?? '';
  const errors: FieldError[] = [
    ...atLeast('tailLines', numbers.tailLines, 0, 'must be greater than or equal to 0'),
    ...atLeast('limitBytes', numbers.limitBytes, 1, 'must be greater than 0'),
    ...(numbers.sinceSeconds !== undefined && sinceTime !== '' ? [forbidden('', 'at most one of `sinceTime` or `sinceSeconds` may be specified')] : []),
    ...atLeast('sinceSeconds', numbers.sinceSeconds, 1, 'must be greater than 0'),
    ...(['', 'All', 'Stdout', 'Stderr'].includes(stream) ? [] : [notSupported('stream', stream, ['All', 'Stderr', 'Stdout'])]),
    ...(stream !== '' && stream !== 'All' && numbers.tailLines !== undefined ? [forbidden('', '`tailLines` and specific `stream` are mutually exclusive for now')] : []),
  ];
  if (errors.length > 0) throw invalidObject({ group: '', kind: 'PodLogOptions' }, pod.metadata.name, errors);
  const container = chooseContainer(pod, query.get('container') ?? '');
  const target = new URLSearchParams();
  for (const name of ['follow', 'previous', 'timestamps']) if (isSet(query, name)) target.set(name, 'true');
  for (const [name, value] of Object.entries(numbers)) if (value !== undefined) target.set(name, String(value));
  if (sinceTime !== '') target.set('sinceTime', sinceTime);
  if (stream !== '') target.set('stream', stream);
  target.sort();
  const text = target.toString();
  return {
    target: `/containerLogs/${pod.metadata.namespace ?? ''}/${pod.metadata.name}/${encodeURIComponent(container)}${text === '' ? '' : `?${text}`}`,
    follows: isSet(query, 'follow'),
  };
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null || value === '') return undefined;
  if (!/^[+-]?\d+$/.test(value)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(value)}: invalid syntax`);
  return Number(value);
}

function atLeast(field: string, value: number | undefined, min: number, detail: string): FieldError[] {
  return value === undefined || value >= min ? [] : [invalid(field, value, detail)];
}
