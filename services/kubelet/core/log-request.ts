// Requests for container logs: their options, and which container's log is meant.
// Source: pkg/kubelet/server/server.go getContainerLogs, kubelet_pods.go validateContainerLogStatus.
import type { ContainerStatus } from '#lib/kinds/types/core-v1.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';

export interface LogOptions {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  readonly sinceMs: number | undefined;
  readonly stream: 'stdout' | 'stderr' | undefined;
}

/** What is wrong with a request, with its HTTP status. */
export class LogRequestError extends Error {
  override readonly name = 'LogRequestError';
  readonly status: 400 | 404 | 422;

  constructor(status: 400 | 404 | 422, message: string) {
    super(message);
    this.status = status;
  }
}

export function logOptions(query: URLSearchParams, nowMs: number): LogOptions {
  const flag = (name: string): boolean => {
    const value = query.get(name);
    return value !== null && value !== 'false' && value !== '0';
  };
  const number = (name: string, least: number): number | undefined => {
    const value = query.get(name);
    if (value === null || value === '') return undefined;
    if (!/^-?\d+$/.test(value)) throw new LogRequestError(400, '{"message": "Unable to decode query."}');
    if (Number(value) < least) throw new LogRequestError(422, '{"message": "Invalid request."}');
    return Number(value);
  };
  const [sinceSeconds, sinceTime] = [number('sinceSeconds', 1), query.get('sinceTime')];
  if (sinceSeconds !== undefined && sinceTime !== null) throw new LogRequestError(422, '{"message": "Invalid request."}');
  const sinceTimeMs = sinceTime === null || sinceTime === '' ? undefined : parseTimeOrUndefined(sinceTime);
  if (sinceTime !== null && sinceTime !== '' && sinceTimeMs === undefined) throw new LogRequestError(400, '{"message": "Unable to decode query."}');
  const stream = query.get('stream') ?? 'All';
  if (!['All', 'Stdout', 'Stderr'].includes(stream)) throw new LogRequestError(400, '{"message": "Invalid request."}');
  return {
    follow: flag('follow'), previous: flag('previous'), timestamps: flag('timestamps'),
    tailLines: number('tailLines', 0), limitBytes: number('limitBytes', 1),
    sinceMs: sinceSeconds !== undefined ? nowMs - sinceSeconds * 1000 : sinceTimeMs,
    stream: stream === 'Stdout' ? 'stdout' : stream === 'Stderr' ? 'stderr' : undefined,
  };
}

const bare = (containerId: string): string => containerId.replace(/^[^:]*:\/\//, '');

/** Id of the container whose log is meant. Throws LogRequestError in upstream's words when there is none. */
export function containerToRead(status: ContainerStatus | undefined, container: string, pod: string, previous: boolean): string {
  const fail = (text: string): never => {
    throw new LogRequestError(400, text);
  };
  const subject = `container ${JSON.stringify(container)} in pod ${JSON.stringify(pod)}`;
  if (!status) return fail(`${subject} is not available`);
  const last = status.lastState?.terminated?.containerID ?? '';
  if (previous) return last === '' ? fail(`previous terminated ${subject} not found`) : bare(last);
  const { running, terminated, waiting } = status.state ?? {};
  if (running) return bare(status.containerID ?? '');
  if (terminated) {
    const id = terminated.containerID !== undefined && terminated.containerID !== '' ? terminated.containerID : last;
    return id === '' ? fail(`${subject} is terminated`) : bare(id);
  }
  if (status.lastState?.terminated) return last === '' ? fail(`${subject} is terminated`) : bare(last);
  switch (waiting?.reason) {
    case undefined: return fail(`${subject} is waiting to start - no logs yet`);
    case 'ErrImagePull': return fail(`${subject} is waiting to start: image can't be pulled`);
    case 'ImagePullBackOff': return fail(`${subject} is waiting to start: trying and failing to pull image`);
    default: return fail(`${subject} is waiting to start: ${waiting?.reason ?? ''}`);
  }
}
