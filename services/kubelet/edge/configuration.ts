// KubeletConfiguration: the file, with upstream's defaults filled in. Source: pkg/kubelet/apis/config/v1beta1.
import { readFile } from 'node:fs/promises';
import type { Taint } from '#lib/kinds/types/core-v1.ts';
import { parseDurationMs } from '#lib/service/flags.ts';
import type { CollectorOptions } from '#lib/tracing/start-tracing.ts';
import { collectorOptions } from '#lib/tracing/tracing-configuration.ts';

export interface KubeletConfiguration {
  readonly address: string;
  readonly port: number;
  readonly healthzBindAddress: string;
  readonly healthzPort: number;
  readonly staticPodPath: string;
  readonly clusterDNS: readonly string[];
  readonly clusterDomain: string;
  readonly resolvConf: string;
  readonly podLogsDir: string;
  readonly cgroupRoot: string;
  readonly cgroupsPerQOS: boolean;
  readonly containerRuntimeEndpoint: string;
  readonly tlsCertFile: string;
  readonly tlsPrivateKeyFile: string;
  readonly clientCAFile: string;
  readonly anonymousAuth: boolean;
  readonly webhookAuth: boolean;
  readonly authorizationMode: 'Webhook' | 'AlwaysAllow';
  readonly tokenCacheMs: number;
  readonly allowedCacheMs: number;
  readonly deniedCacheMs: number;
  readonly syncFrequencyMs: number;
  readonly fileCheckFrequencyMs: number;
  readonly nodeStatusUpdateFrequencyMs: number;
  readonly nodeStatusReportFrequencyMs: number;
  readonly nodeLeaseDurationSeconds: number;
  readonly registerNode: boolean;
  readonly registerWithTaints: readonly Taint[];
  readonly maxPods: number;
  readonly evictionHard: Readonly<Record<string, string>>;
  readonly evictionSoft: Readonly<Record<string, string>>;
  /** By signal. */
  readonly evictionSoftGracePeriodMs: Readonly<Record<string, number>>;
  readonly evictionMinimumReclaim: Readonly<Record<string, string>>;
  /** Seconds. */
  readonly evictionMaxPodGracePeriod: number;
  readonly evictionPressureTransitionPeriodMs: number;
  readonly imageGCHighThresholdPercent: number;
  readonly imageGCLowThresholdPercent: number;
  readonly imageMinimumGCAgeMs: number;
  readonly localStorageCapacityIsolation: boolean;
  /** -1: none. */
  readonly podPidsLimit: number;
  /** `pods`, or nothing. */
  readonly enforceNodeAllocatable: readonly string[];
  readonly containerLogMaxSize: string;
  readonly containerLogMaxFiles: number;
  readonly cpuCFSQuotaPeriodMs: number;
  readonly firstContainerRestartPeriodMs: number;
  readonly maxContainerRestartPeriodMs: number;
  readonly runtimeRequestTimeoutMs: number;
  readonly streamingConnectionIdleTimeoutMs: number;
  readonly containerLogMonitorIntervalMs: number;
  /** 1: one after the other; Infinity: any number. */
  readonly maxParallelImagePulls: number;
  readonly nodeStatusMaxImages: number;
  readonly kubeReserved: Readonly<Record<string, string>>;
  readonly systemReserved: Readonly<Record<string, string>>;
  /** Where spans are exported to; undefined: nowhere. */
  readonly tracing: CollectorOptions | undefined;
  /** As read, for /configz. */
  readonly source: Readonly<Record<string, unknown>>;
}

type Raw = Readonly<Record<string, unknown>>;

export class ConfigurationFileError extends Error {
  override readonly name = 'ConfigurationFileError';
}

const HARD_EVICTION: Readonly<Record<string, string>> = {
  'memory.available': '100Mi', 'nodefs.available': '10%', 'nodefs.inodesFree': '5%', 'imagefs.available': '15%', 'imagefs.inodesFree': '5%',
};

/** `path` empty: all defaults. */
export async function loadConfiguration(path: string): Promise<KubeletConfiguration> {
  if (path === '') return configurationFrom({}, path);
  const text = await readFile(path, 'utf8');
  const { parse } = await import('yaml');
  return configurationFrom((parse(text) ?? {}) as Raw, path);
}

export function configurationFrom(raw: Raw, path: string): KubeletConfiguration {
  if (raw['kind'] !== undefined && raw['kind'] !== 'KubeletConfiguration') throw new ConfigurationFileError(`failed to load kubelet config file ${path}: kind is ${JSON.stringify(raw['kind'])}, not KubeletConfiguration`);
  const fail = (field: string, wanted: string): never => {
    throw new ConfigurationFileError(`failed to load kubelet config file ${path}: ${field} must be ${wanted}`);
  };
  const section = (from: Raw, field: string): Raw => (typeof from[field] === 'object' && from[field] !== null ? from[field] as Raw : {});
  const text = (field: string, fallback: string, from: Raw = raw): string => (from[field] === undefined || from[field] === '' ? fallback : typeof from[field] === 'string' ? from[field] : fail(field, 'a string'));
  const number = (field: string, fallback: number): number => (raw[field] === undefined ? fallback : typeof raw[field] === 'number' ? raw[field] : fail(field, 'a number'));
  const flag = (field: string, fallback: boolean, from: Raw = raw): boolean => (from[field] === undefined ? fallback : typeof from[field] === 'boolean' ? from[field] : fail(field, 'true or false'));
  /** 0 stands for the default, as upstream takes an unset duration. */
  const duration = (field: string, fallback: string, from: Raw = raw): number => parseDurationMs(text(field, fallback, from)) || parseDurationMs(fallback);
  const texts = (field: string): Record<string, string> => Object.fromEntries(Object.entries(section(raw, field)).map(([key, value]) => [key, String(value)]));
  const [authentication, authorization] = [section(raw, 'authentication'), section(raw, 'authorization')];
  const [webhook, decisions] = [section(authentication, 'webhook'), section(authorization, 'webhook')];
  const mode = text('mode', 'Webhook', authorization);
  if (mode !== 'Webhook' && mode !== 'AlwaysAllow') fail('authorization.mode', 'Webhook or AlwaysAllow');
  return {
    address: text('address', '0.0.0.0'),
    port: number('port', 10250),
    healthzBindAddress: text('healthzBindAddress', '127.0.0.1'),
    healthzPort: number('healthzPort', 10248),
    staticPodPath: text('staticPodPath', ''),
    clusterDNS: Array.isArray(raw['clusterDNS']) ? (raw['clusterDNS'] as unknown[]).map(String) : [],
    clusterDomain: text('clusterDomain', ''),
    resolvConf: text('resolvConf', '/etc/resolv.conf'),
    podLogsDir: text('podLogsDir', '/var/log/pods'),
    cgroupRoot: text('cgroupRoot', ''),
    cgroupsPerQOS: flag('cgroupsPerQOS', true),
    containerRuntimeEndpoint: text('containerRuntimeEndpoint', 'unix:///run/containerd/containerd.sock'),
    tlsCertFile: text('tlsCertFile', ''),
    tlsPrivateKeyFile: text('tlsPrivateKeyFile', ''),
    clientCAFile: text('clientCAFile', '', section(authentication, 'x509')),
    anonymousAuth: flag('enabled', false, section(authentication, 'anonymous')),
    webhookAuth: flag('enabled', true, webhook),
    authorizationMode: mode as 'Webhook' | 'AlwaysAllow',
    tokenCacheMs: duration('cacheTTL', '2m', webhook),
    allowedCacheMs: duration('cacheAuthorizedTTL', '5m', decisions),
    deniedCacheMs: duration('cacheUnauthorizedTTL', '30s', decisions),
    syncFrequencyMs: duration('syncFrequency', '1m'),
    fileCheckFrequencyMs: duration('fileCheckFrequency', '20s'),
    nodeStatusUpdateFrequencyMs: duration('nodeStatusUpdateFrequency', '10s'),
    // As often as it is looked at, where that is said and this is not. Source: SetDefaults_KubeletConfiguration, "for backward compatibility".
    nodeStatusReportFrequencyMs: duration('nodeStatusReportFrequency', parseDurationMs(text('nodeStatusUpdateFrequency', '0s')) > 0 ? text('nodeStatusUpdateFrequency', '') : '5m'),
    nodeLeaseDurationSeconds: number('nodeLeaseDurationSeconds', 40),
    registerNode: flag('registerNode', true),
    registerWithTaints: (Array.isArray(raw['registerWithTaints']) ? raw['registerWithTaints'] : []) as Taint[],
    maxPods: number('maxPods', 110),
    evictionHard: raw['evictionHard'] === undefined ? HARD_EVICTION : texts('evictionHard'),
    evictionSoft: texts('evictionSoft'),
    evictionSoftGracePeriodMs: Object.fromEntries(Object.entries(texts('evictionSoftGracePeriod')).map(([signal, text]) => [signal, parseDurationMs(text)])),
    evictionMinimumReclaim: texts('evictionMinimumReclaim'),
    evictionMaxPodGracePeriod: number('evictionMaxPodGracePeriod', 0),
    imageGCHighThresholdPercent: number('imageGCHighThresholdPercent', 85),
    imageGCLowThresholdPercent: number('imageGCLowThresholdPercent', 80),
    imageMinimumGCAgeMs: duration('imageMinimumGCAge', '2m'),
    localStorageCapacityIsolation: flag('localStorageCapacityIsolation', true),
    podPidsLimit: number('podPidsLimit', -1),
    tracing: raw['tracing'] === undefined ? undefined : collectorOptions(section(raw, 'tracing'), 'tracing.'),
    enforceNodeAllocatable: Array.isArray(raw['enforceNodeAllocatable']) ? (raw['enforceNodeAllocatable'] as unknown[]).map(String) : ['pods'],
    evictionPressureTransitionPeriodMs: duration('evictionPressureTransitionPeriod', '5m'),
    containerLogMaxSize: text('containerLogMaxSize', '10Mi'),
    containerLogMaxFiles: number('containerLogMaxFiles', 5),
    cpuCFSQuotaPeriodMs: duration('cpuCFSQuotaPeriod', '100ms'),
    ...crashBackOff(section(raw, 'featureGates')['ReduceDefaultCrashLoopBackOffDecay'] === true, (fallback) => duration('maxContainerRestartPeriod', fallback, section(raw, 'crashLoopBackOff'))),
    runtimeRequestTimeoutMs: duration('runtimeRequestTimeout', '2m'),
    streamingConnectionIdleTimeoutMs: duration('streamingConnectionIdleTimeout', '4h'),
    containerLogMonitorIntervalMs: duration('containerLogMonitorInterval', '10s'),
    // Source: SetDefaults_KubeletConfiguration: serial, unless more than one pull at once is asked for.
    maxParallelImagePulls: flag('serializeImagePulls', number('maxParallelImagePulls', 1) < 2) ? 1 : number('maxParallelImagePulls', Infinity),
    nodeStatusMaxImages: number('nodeStatusMaxImages', 50),
    kubeReserved: texts('kubeReserved'),
    systemReserved: texts('systemReserved'),
    source: raw,
  };
}

/**
 * How long a container that ends again and again waits at first, and at most: 10 s and 5 min; with the gate 1 s and 1 min.
 * Source: pkg/kubelet/kubelet.go, newCrashLoopBackOff.
 */
function crashBackOff(isReduced: boolean, maximumOr: (fallback: string) => number): { firstContainerRestartPeriodMs: number; maxContainerRestartPeriodMs: number } {
  const maxContainerRestartPeriodMs = maximumOr(isReduced ? '60s' : '300s');
  return { firstContainerRestartPeriodMs: Math.min(isReduced ? 1_000 : 10_000, maxContainerRestartPeriodMs), maxContainerRestartPeriodMs };
}
