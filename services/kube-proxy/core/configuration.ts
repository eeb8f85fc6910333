// KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1): what of it counts here, with upstream's defaults.
// Source: kubernetes pkg/proxy/apis/config/v1alpha1/defaults.go.
import { parseIpv4Cidr } from '#lib/machinery/ipv4.ts';
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';

export interface ProxyConfiguration {
  readonly kubeconfig: string;
  readonly hostnameOverride: string;
  readonly clusterCidr: string | undefined;
  readonly healthz: HostPort | undefined;
  readonly metrics: HostPort | undefined;
  readonly masqueradeAll: boolean;
  readonly masqueradeBit: number;
  readonly syncPeriodMs: number;
  readonly minSyncPeriodMs: number;
  /** Undefined: the node's own address. */
  readonly nodePortAddresses: readonly string[] | undefined;
  readonly conntrack: {
    readonly maxPerCore: number;
    readonly min: number;
    readonly tcpEstablishedSeconds: number;
    readonly tcpCloseWaitSeconds: number;
  };
}
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

type Fields = Readonly<Record<string, unknown>>;
const part = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {});
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

/** `document`: the parsed file. Throws ConfigurationError naming the field that cannot be used. */
export function readConfiguration(document: unknown): ProxyConfiguration {
  const fields = part(document);
  if (fields['kind'] !== 'KubeProxyConfiguration') throw new ConfigurationError(`no kind "${String(fields['kind'])}" is registered for version "${String(fields['apiVersion'])}"`);
  const mode = textOf(fields['mode']) || 'nftables';
  if (mode !== 'nftables') throw new ConfigurationError(`mode: Invalid value: "${mode}": only nftables is offered here`);
  const nftables = part(fields['nftables']);
  const conntrack = part(fields['conntrack']);
  const number = (value: unknown, fallback: number, field: string): number => {
    if (value === null || value === undefined) return fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw new ConfigurationError(`${field}: Invalid value: ${JSON.stringify(value)}: must be a non-negative integer`);
    return value;
  };
  const duration = (value: unknown, fallbackMs: number, field: string): number => {
    try {
      return value === null || value === undefined ? fallbackMs : parseDurationMs(String(value)) || fallbackMs;
    } catch (error) {
      if (!(error instanceof FlagError)) throw error;
      throw new ConfigurationError(`${field}: ${error.message}`);
    }
  };
  const masqueradeBit = number(nftables['masqueradeBit'], 14, 'nftables.masqueradeBit');
  if (masqueradeBit > 31) throw new ConfigurationError(`nftables.masqueradeBit: Invalid value: ${masqueradeBit}: must be within the range [0, 31]`);
  const clusterCidrs = textOf(fields['clusterCIDR']).split(',').map((cidr) => cidr.trim()).filter((cidr) => cidr !== '');
  const clusterCidr = clusterCidrs.find((cidr) => parseIpv4Cidr(cidr) !== undefined);
  if (clusterCidrs.length > 0 && clusterCidr === undefined) throw new ConfigurationError(`clusterCIDR: Invalid value: "${clusterCidrs.join(',')}": must be a valid IPv4 CIDR block`);
  const addresses = fields['nodePortAddresses'];
  return {
    kubeconfig: textOf(part(fields['clientConnection'])['kubeconfig']),
    hostnameOverride: textOf(fields['hostnameOverride']),
    clusterCidr,
    healthz: hostPort(textOf(fields['healthzBindAddress']) || '0.0.0.0:10256', 'healthzBindAddress'),
    metrics: hostPort(textOf(fields['metricsBindAddress']) || '127.0.0.1:10249', 'metricsBindAddress'),
    masqueradeAll: nftables['masqueradeAll'] === true,
    masqueradeBit,
    syncPeriodMs: duration(nftables['syncPeriod'], 30_000, 'nftables.syncPeriod'),
    minSyncPeriodMs: duration(nftables['minSyncPeriod'], 1_000, 'nftables.minSyncPeriod'),
    nodePortAddresses: Array.isArray(addresses) && addresses.length > 0 && addresses[0] !== 'primary' ? addresses.map(String) : undefined,
    conntrack: {
      maxPerCore: number(conntrack['maxPerCore'], 32_768, 'conntrack.maxPerCore'),
      min: number(conntrack['min'], 131_072, 'conntrack.min'),
      tcpEstablishedSeconds: duration(conntrack['tcpEstablishedTimeout'], 86_400_000, 'conntrack.tcpEstablishedTimeout') / 1000,
      tcpCloseWaitSeconds: duration(conntrack['tcpCloseWaitTimeout'], 3_600_000, 'conntrack.tcpCloseWaitTimeout') / 1000,
    },
  };
}

/** Port 0 switches the server off. */
function hostPort(text: string, field: string): HostPort | undefined {
  const at = text.lastIndexOf(':');
  const port = Number(text.slice(at + 1));
  if (at < 0 || !Number.isInteger(port) || port < 0 || port > 65535) throw new ConfigurationError(`${field}: Invalid value: "${text}": must be IP:port`);
  return port === 0 ? undefined : { host: text.slice(0, at).replace(/^\[(.*)\]$/, '$1'), port };
}

/** Which of the host's addresses answer on node ports; undefined: all. */
export function nodePortIps({ nodePortAddresses }: Pick<ProxyConfiguration, 'nodePortAddresses'>, nodeIps: readonly string[], contains: (cidr: string) => readonly string[]): readonly string[] | undefined {
  if (nodePortAddresses === undefined) return nodeIps;
  if (nodePortAddresses.some((cidr) => cidr.endsWith('/0'))) return undefined;
  return [...new Set(nodePortAddresses.flatMap(contains))];
}
