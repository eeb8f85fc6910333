// Lines of container logs as runtimes write them: `TIME stream tag text`. Source: pkg/kubelet/kuberuntime/logs.

export interface LogLine {
  /** RFC 3339 with nanoseconds, as written. */
  readonly time: string;
  readonly stream: string;
  /** False: the runtime cut a long line; its rest is in the next one. */
  readonly isWhole: boolean;
  readonly text: string;
}

/** undefined: no such line. */
export function parseLogLine(line: string): LogLine | undefined {
  const first = line.indexOf(' ');
  const second = line.indexOf(' ', first + 1);
  const third = line.indexOf(' ', second + 1);
  if (first <= 0 || second < 0) return undefined;
  const stream = line.slice(first + 1, second);
  if (stream !== 'stdout' && stream !== 'stderr') return undefined;
  const tag = third < 0 ? line.slice(second + 1) : line.slice(second + 1, third);
  return { time: line.slice(0, first), stream, isWhole: tag.split(':')[0] !== 'P', text: third < 0 ? '' : line.slice(third + 1) };
}

export interface LogSelection {
  /** Milliseconds since 1970; lines before are left out. */
  readonly sinceMs?: number | undefined;
  readonly timestamps?: boolean | undefined;
  readonly stream?: 'stdout' | 'stderr' | undefined;
}

/** What a reader is shown of a line; empty when it is not selected. */
export function renderLogLine(line: LogLine, { sinceMs, timestamps, stream }: LogSelection, isContinued: boolean): string {
  if (stream !== undefined && line.stream !== stream) return '';
  if (sinceMs !== undefined && Date.parse(line.time) < sinceMs) return '';
  return `${timestamps === true && !isContinued ? `${line.time} ` : ''}${line.text}${line.isWhole ? '\n' : ''}`;
}
