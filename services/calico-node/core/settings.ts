// The settings of calico-node, by the names of the variables that the real one reads.
import { parseIpv4Cidr } from '#lib/machinery/ipv4.ts';
import { DEFAULT_BLOCK_SIZE } from './block-claim.ts';

export interface Settings {
  readonly node: string;
  readonly pool: { readonly cidr: string; readonly blockSize: number; readonly natOutgoing: boolean };
  readonly cniFolder: string;
  /** Of CNI programs. The variable is ours: Calico's installer always uses the default. */
  readonly cniProgramFolder: string;
  readonly mtu: number;
  readonly healthHost: string;
  readonly healthPort: number;
}

/** Throws with the variable's name when one is missing or malformed. */
export function settingsFrom(variables: Readonly<Record<string, string | undefined>>): Settings {
  const node = variables['NODENAME'] || variables['HOSTNAME'];
  if (!node) throw new Error('NODENAME is not set: which node is this?');
  const cidr = variables['CALICO_IPV4POOL_CIDR'] || '192.168.0.0/16';
  const blockSize = integerOf(variables, 'CALICO_IPV4POOL_BLOCK_SIZE', DEFAULT_BLOCK_SIZE);
  const network = parseIpv4Cidr(cidr);
  if (!network || blockSize < network.prefixLength || blockSize < 20 || blockSize > 32) {
    throw new Error(`CALICO_IPV4POOL_CIDR ${cidr} cannot be cut into blocks of /${blockSize} (CALICO_IPV4POOL_BLOCK_SIZE, 20 to 32)`);
  }
  return {
    node,
    pool: { cidr, blockSize, natOutgoing: (variables['CALICO_IPV4POOL_NAT_OUTGOING'] ?? 'true') === 'true' },
    cniFolder: variables['CNI_NET_DIR'] || '/host/etc/cni/net.d',
    cniProgramFolder: variables['CNI_BIN_DIR'] || '/host/opt/cni/bin',
    mtu: integerOf(variables, 'CNI_MTU', 0),
    healthHost: variables['FELIX_HEALTHHOST'] || '127.0.0.1',
    healthPort: integerOf(variables, 'FELIX_HEALTHPORT', 9099),
  };
}

function integerOf(variables: Readonly<Record<string, string | undefined>>, name: string, fallback: number): number {
  const text = variables[name];
  if (text === undefined || text === '') return fallback;
  if (!/^\d+$/.test(text)) throw new Error(`${name} must be a number, not ${text}`);
  return Number(text);
}
