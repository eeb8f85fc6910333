// The node's figures in the form that Prometheus and metrics-server read.
import type { ContainerSummary, PodSummary, Summary } from '../node-stats.ts';

const label = (text: string): string => text.replace(/\\/g, '\\\\').replace(/"/g, '\\"');

/** /metrics/resource. Source: pkg/kubelet/metrics/collectors/resource_metrics.go. */
export function resourceMetrics({ node, pods }: Summary): string {
  const lines: string[] = [];
  const family = (name: string, type: 'counter' | 'gauge', help: string, rows: readonly string[]): void => void lines.push(`# HELP ${name} [STABLE] ${help}`, `# TYPE ${name} ${type}`, ...rows.map((row) => `${name}${row}`));
  const at = (time: string): number => Date.parse(time);
  const perContainer = (value: (container: ContainerSummary) => string): string[] => pods.flatMap(({ podRef, containers }) => containers.map((container) => `{container="${label(container.name)}",namespace="${label(podRef.namespace)}",pod="${label(podRef.name)}"} ${value(container)}`));
  const perPod = (value: (pod: PodSummary) => string): string[] => pods.map((pod) => `{namespace="${label(pod.podRef.namespace)}",pod="${label(pod.podRef.name)}"} ${value(pod)}`);
  family('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the container in core-seconds', perContainer(({ cpu }) => `${cpu.usageCoreNanoSeconds / 1e9} ${at(cpu.time)}`));
  family('container_memory_working_set_bytes', 'gauge', 'Current working set of the container in bytes', perContainer(({ memory }) => `${memory.workingSetBytes} ${at(memory.time)}`));
  family('container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds', perContainer(({ startTime }) => `${at(startTime) / 1000}`));
  family('node_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the node in core-seconds', [` ${node.cpu.usageCoreNanoSeconds / 1e9} ${at(node.cpu.time)}`]);
  family('node_memory_working_set_bytes', 'gauge', 'Current working set of the node in bytes', [` ${node.memory.workingSetBytes} ${at(node.memory.time)}`]);
  family('pod_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed by the pod in core-seconds', perPod(({ cpu }) => `${cpu.usageCoreNanoSeconds / 1e9} ${at(cpu.time)}`));
  family('pod_memory_working_set_bytes', 'gauge', 'Current working set of the pod in bytes', perPod(({ memory }) => `${memory.workingSetBytes} ${at(memory.time)}`));
  family('resource_scrape_error', 'gauge', '1 if there was an error while getting container metrics, 0 otherwise', [' 0']);
  return `${lines.join('\n')}\n`;
}

/** /metrics/cadvisor: the families that dashboards ask for most. */
export function cadvisorMetrics({ pods }: Summary): string {
  const rows = (value: (container: ContainerSummary) => number): string[] => pods.flatMap(({ podRef, containers }) => containers.map((container) => `{container="${label(container.name)}",namespace="${label(podRef.namespace)}",pod="${label(podRef.name)}"} ${value(container)}`));
  const family = (name: string, type: string, help: string, values: readonly string[]): string => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...values.map((row) => `${name}${row}`)].join('\n');
  return `${[
    family('container_cpu_usage_seconds_total', 'counter', 'Cumulative cpu time consumed in seconds.', rows(({ cpu }) => cpu.usageCoreNanoSeconds / 1e9)),
    family('container_memory_working_set_bytes', 'gauge', 'Current working set in bytes.', rows(({ memory }) => memory.workingSetBytes)),
    family('container_memory_usage_bytes', 'gauge', 'Current memory usage in bytes, including all memory regardless of when it was accessed', rows(({ memory }) => memory.usageBytes)),
    family('container_memory_rss', 'gauge', 'Size of RSS in bytes.', rows(({ memory }) => memory.rssBytes)),
    family('container_start_time_seconds', 'gauge', 'Start time of the container since unix epoch in seconds.', rows(({ startTime }) => Date.parse(startTime) / 1000)),
  ].join('\n')}\n`;
}
