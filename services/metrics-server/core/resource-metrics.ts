// What a kubelet's /metrics/resource says, as points. Source: pkg/scraper/client/resource/decode.go of metrics-server.

/** One measurement of a container or node. */
export interface Point {
  /** When its CPU counter began; 0: not told (nodes). Milliseconds. */
  readonly startedMs: number;
  readonly atMs: number;
  /** CPU time since the start. Nanoseconds. */
  readonly cpuNs: number;
  /** Working set. Bytes. */
  readonly memoryBytes: number;
}
type Draft = { -readonly [K in keyof Point]: Point[K] };

export interface Batch {
  readonly nodes: Map<string, Point>;
  /** `namespace/name` to container name to point. */
  readonly pods: Map<string, Map<string, Point>>;
}

const emptyPoint = (): Draft => ({ startedMs: 0, atMs: 0, cpuNs: 0, memoryBytes: 0 });
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** `defaultMs`: the time of samples that carry none. Lines of other metrics are passed over. */
export function readResourceMetrics(text: string, node: string, defaultMs: number): Batch {
  const ofNode = emptyPoint();
  const pods = new Map<string, Map<string, Draft>>();
  const container = (labelText: string): Draft => {
    const labels = Object.fromEntries([...labelText.matchAll(LABEL)].map(([, name, value = '']) => [name, value]));
    const pod = `${labels['namespace'] ?? ''}/${labels['pod'] ?? ''}`;
    const containers = pods.get(pod) ?? new Map<string, Draft>();
    pods.set(pod, containers);
    const name = labels['container'] ?? '';
    const point = containers.get(name) ?? emptyPoint();
    containers.set(name, point);
    return point;
  };
  for (const line of text.split('\n')) {
    const [, metric, labels = '', valueText = '', timeText] = /^(\w+)(?:\{(.*)\})? (\S+)(?: (-?\d+))?$/.exec(line) ?? [];
    const [value, atMs] = [Number(valueText), timeText === undefined ? defaultMs : Number(timeText)];
    switch (metric) {
      case 'node_cpu_usage_seconds_total': Object.assign(ofNode, { cpuNs: value * 1e9, atMs }); break;
      case 'node_memory_working_set_bytes': Object.assign(ofNode, { memoryBytes: value, atMs }); break;
      case 'container_cpu_usage_seconds_total': Object.assign(container(labels), { cpuNs: value * 1e9, atMs }); break;
      case 'container_memory_working_set_bytes': Object.assign(container(labels), { memoryBytes: value, atMs }); break;
      case 'container_start_time_seconds': container(labels).startedMs = value * 1000; break;
      default:
    }
  }
  const isComplete = ({ cpuNs, memoryBytes, atMs }: Point): boolean => cpuNs > 0 && memoryBytes > 0 && atMs > 0;
  return {
    nodes: new Map(isComplete(ofNode) ? [[node, ofNode]] : []),
    // A pod of which one container is not measured yet is left out: its sum would be wrong.
    pods: new Map([...pods].filter(([, containers]) => [...containers.values()].every(isComplete))),
  };
}
