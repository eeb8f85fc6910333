// KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): what of it counts here, with upstream's defaults. What would change
// decisions and is not offered is refused. Source: pkg/scheduler/apis/config/v1/defaults.go, Kubernetes 1.36.
import { readFile } from 'node:fs/promises';
import { FlagError, parseDurationMs, type Flags } from '#lib/service/flags.ts';
import { schedulerFlags } from '../flags.ts';

export interface SchedulerConfiguration {
  readonly kubeconfig: string;
  /** Pods with this schedulerName are scheduled. */
  readonly schedulerName: string;
  readonly backoffFirstMs: number;
  readonly backoffLongestMs: number;
  readonly leaderElection: {
    readonly isOn: boolean;
    readonly leaseDurationMs: number;
    readonly renewDeadlineMs: number;
    readonly retryPeriodMs: number;
    readonly name: string;
    readonly namespace: string;
  };
}

export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

type Fields = Readonly<Record<string, unknown>>;
const part = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const API_VERSION = 'kubescheduler.config.k8s.io/v1';

/** The file of --config and the flags: as upstream, the file's kubeconfig counts, and flags of leader election before the file's. */
export async function loadConfiguration(flags: Flags<typeof schedulerFlags>): Promise<SchedulerConfiguration> {
  if (flags.config === '') return { ...readConfiguration({ apiVersion: API_VERSION, kind: 'KubeSchedulerConfiguration' }, flags), kubeconfig: flags.kubeconfig };
  const text = await readFile(flags.config, 'utf8');
  const { parse } = await import('yaml');
  return readConfiguration(parse(text), flags);
}

/** `document`: the parsed file. Throws ConfigurationError naming the field that cannot be used. */
export function readConfiguration(document: unknown, flags: Flags<typeof schedulerFlags>): SchedulerConfiguration {
  const fields = part(document);
  if (fields['kind'] !== 'KubeSchedulerConfiguration' || fields['apiVersion'] !== API_VERSION) {
    throw new ConfigurationError(`no kind "${String(fields['kind'])}" is registered for version "${String(fields['apiVersion'])}" in scheme "pkg/scheduler/apis/config/scheme/scheme.go"`);
  }
  const profiles = fields['profiles'] === undefined ? [{}] : (fields['profiles'] as unknown[]).map(part);
  const [profile = {}, ...more] = profiles;
  if (more.length > 0) throw new ConfigurationError('profiles: Invalid value: only one profile is offered here');
  for (const field of ['plugins', 'pluginConfig']) if (profile[field] !== undefined) throw new ConfigurationError(`profiles[0].${field}: Invalid value: the plugins cannot be chosen here`);
  if (Array.isArray(fields['extenders']) && fields['extenders'].length > 0) throw new ConfigurationError('extenders: Invalid value: not offered here');
  const seconds = (field: string, fallback: number, least: number, rule: string): number => {
    const value = fields[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least) throw new ConfigurationError(`${field}: Invalid value: ${JSON.stringify(value)}: ${rule}`);
    return value;
  };
  const first = seconds('podInitialBackoffSeconds', 1, 1, 'must be greater than 0');
  const longest = seconds('podMaxBackoffSeconds', 10, first, 'must be greater than or equal to PodInitialBackoffSeconds');
  const election = part(fields['leaderElection']);
  /** A flag that says something else than its default counts before the file. */
  const chosen = <T>(field: string, flagged: T, fallback: T, read: (value: unknown) => T): T => (flagged !== fallback || election[field] === undefined ? flagged : read(election[field]));
  const duration = (field: string) => (value: unknown): number => {
    try {
      return parseDurationMs(String(value));
    } catch (error) {
      if (!(error instanceof FlagError)) throw error;
      throw new ConfigurationError(`leaderElection.${field}: ${error.message}`);
    }
  };
  const defaults = schedulerFlags;
  return {
    kubeconfig: String(part(fields['clientConnection'])['kubeconfig'] ?? ''),
    schedulerName: typeof profile['schedulerName'] === 'string' && profile['schedulerName'] !== '' ? profile['schedulerName'] : flags.emulatorSchedulerName,
    backoffFirstMs: first * 1000,
    backoffLongestMs: longest * 1000,
    leaderElection: {
      isOn: chosen('leaderElect', flags.leaderElect, defaults['leader-elect'].fallback, (value) => value !== false),
      leaseDurationMs: chosen('leaseDuration', flags.leaderElectLeaseDurationMs, defaults['leader-elect-lease-duration'].fallback, duration('leaseDuration')),
      renewDeadlineMs: chosen('renewDeadline', flags.leaderElectRenewDeadlineMs, defaults['leader-elect-renew-deadline'].fallback, duration('renewDeadline')),
      retryPeriodMs: chosen('retryPeriod', flags.leaderElectRetryPeriodMs, defaults['leader-elect-retry-period'].fallback, duration('retryPeriod')),
      name: chosen('resourceName', flags.leaderElectResourceName, defaults['leader-elect-resource-name'].fallback, String),
      namespace: chosen('resourceNamespace', flags.leaderElectResourceNamespace, defaults['leader-elect-resource-namespace'].fallback, String),
    },
  };
}
