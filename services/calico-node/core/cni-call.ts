// What a container runtime asks of a CNI program, and what it is answered. Source: CNI specification 1.0.0.

export const SUPPORTED_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0'] as const;
const NEWEST = '1.0.0';
const COMMANDS = ['ADD', 'DEL', 'CHECK', 'VERSION'] as const;

export interface CniInterface {
  readonly name: string;
  readonly mac?: string;
  /** Path of the network namespace; missing: on the host. */
  readonly sandbox?: string;
}

export interface CniResult {
  readonly interfaces?: readonly CniInterface[];
  /** `interface`: index into `interfaces`. */
  readonly ips?: readonly { readonly address: string; readonly gateway?: string; readonly interface?: number }[];
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[];
}

export interface NetworkConfig {
  readonly cniVersion: string;
  /** Of the network: k8s-pod-network. */
  readonly name: string;
  readonly type: string;
  readonly mtu?: number;
  /** `dataDir`: where addresses are kept, as host-local has it. */
  readonly ipam?: { readonly type?: string; readonly blocks?: readonly string[]; readonly dataDir?: string };
  readonly runtimeConfig?: { readonly portMappings?: readonly PortMapping[] };
  /** Of the program before this one in the list, in the form of `cniVersion`. */
  readonly prevResult?: CniResult;
}

export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
  readonly hostIP?: string;
}

export interface CniCall {
  readonly command: (typeof COMMANDS)[number];
  readonly containerId: string;
  /** Empty where DEL is asked after the namespace has gone. */
  readonly netns: string;
  readonly device: string;
  /** K8S_POD_NAMESPACE, K8S_POD_NAME ... */
  readonly args: Readonly<Record<string, string>>;
  readonly config: NetworkConfig;
}

/** Codes below 100 are the specification's. */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;
  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
export const INCOMPATIBLE_VERSION = 1;
const INVALID_ENVIRONMENT = 4;
const DECODING_FAILURE = 6;
export const INVALID_CONFIG = 7;
export const INTERNAL = 999;

/** Throws CniError when the call is not one. */
export function parseCall(variables: Readonly<Record<string, string | undefined>>, input: string): CniCall {
  const command = COMMANDS.find((name) => name === variables['CNI_COMMAND']);
  if (!command) throw new CniError(INVALID_ENVIRONMENT, `unknown CNI_COMMAND: ${variables['CNI_COMMAND'] ?? ''}`);
  const config = parseConfig(input);
  const required = { VERSION: [], ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'], CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'], DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'] }[command];
  const missing = required.filter((name) => !variables[name]);
  if (missing.length > 0) throw new CniError(INVALID_ENVIRONMENT, `required env variables [${missing.join(',')}] missing`);
  const containerId = variables['CNI_CONTAINERID'] ?? '';
  const device = variables['CNI_IFNAME'] ?? '';
  if (command !== 'VERSION') {
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(containerId)) throw new CniError(INVALID_ENVIRONMENT, `invalid characters in containerID: ${containerId}`);
    if (!/^[^\s/:]{1,15}$/.test(device) || device === '.' || device === '..') throw new CniError(INVALID_ENVIRONMENT, `invalid interface name: ${device}`);
    if (!isSupported(config.cniVersion)) throw new CniError(INCOMPATIBLE_VERSION, `incompatible CNI versions: config is "${config.cniVersion}", plugin supports ${JSON.stringify(SUPPORTED_VERSIONS)}`);
    if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(config.name)) throw new CniError(INVALID_CONFIG, `invalid network name: "${config.name}"`);
  }
  return { command, containerId, netns: variables['CNI_NETNS'] ?? '', device, args: parseArgs(variables['CNI_ARGS'] ?? ''), config };
}

function parseConfig(input: string): NetworkConfig {
  let json: unknown;
  try {
    json = input.trim() === '' ? {} : JSON.parse(input);
  } catch (error) {
    throw new CniError(DECODING_FAILURE, `cannot decode the network configuration: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new CniError(DECODING_FAILURE, 'the network configuration is not an object');
  const { cniVersion = '0.1.0', name = '', type = '', runtimeConfig, ...rest } = json as Partial<NetworkConfig>;
  const mappings = runtimeConfig?.portMappings?.map(portMapping);
  return { ...rest, cniVersion, name, type, ...(mappings === undefined ? {} : { runtimeConfig: { portMappings: mappings } }) };
}

/** containerd writes HostPort, others hostPort: the programs written in Go do not mind. */
function portMapping(given: object): PortMapping {
  const values = new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value as unknown]));
  return { hostPort: Number(values.get('hostport') ?? 0), containerPort: Number(values.get('containerport') ?? 0), protocol: String(values.get('protocol') ?? 'tcp'), hostIP: String(values.get('hostip') ?? '') };
}

/** `A=1;B=2` */
function parseArgs(text: string): Record<string, string> {
  return Object.fromEntries(text.split(';').filter((pair) => pair.includes('=')).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}

const isSupported = (version: string): boolean => (SUPPORTED_VERSIONS as readonly string[]).includes(version);

/** Before 1.0.0 each address says that it is one of IPv4. */
export function resultText(result: CniResult, cniVersion: string): string {
  const ips = cniVersion === NEWEST ? result.ips : result.ips?.map((ip) => ({ version: '4', ...ip }));
  return JSON.stringify({ cniVersion, ...result, ...(ips === undefined ? {} : { ips }) });
}

export const versionText = (): string => JSON.stringify({ cniVersion: NEWEST, supportedVersions: SUPPORTED_VERSIONS });

export function errorText(error: unknown, cniVersion: string): string {
  const { code, message } = error instanceof CniError ? error : { code: INTERNAL, message: error instanceof Error ? error.message : String(error) };
  return JSON.stringify({ cniVersion, code, msg: message });
}
