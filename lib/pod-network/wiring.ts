// How a pod is wired to its host: names, hardware addresses, and what `ip` is told. The same whether the container runtime does it
// itself or calls the CNI programs, so that a node can change from one to the other.
import { createHash } from 'node:crypto';

/** The pod's gateway; it is nobody's address, only a permanent neighbour entry leads to it. Source: Calico. */
export const POD_GATEWAY = '169.254.1.1';
/** Of the host's end of every pair. Source: Calico. */
const HOST_MAC = 'ee:ee:ee:ee:ee:ee';
export const DEFAULT_MTU = 1500;
/** Begin of the names of the hosts' ends. */
export const HOST_INTERFACE_PREFIX = 'cali';

/** Calico's name for the host's end: the same for every sandbox of the same pod. */
export const hostInterfaceName = (namespace: string, pod: string): string =>
  `${HOST_INTERFACE_PREFIX}${createHash('sha1').update(`${namespace}.${pod}`).digest('hex').slice(0, 11)}`;

export interface PodWiring {
  readonly hostInterface: string;
  /** The network namespace: its name in /run/netns, or a path. */
  readonly netns: string;
  /** In the pod: eth0. */
  readonly device: string;
  readonly address: string;
  readonly mtu: number;
}

/** Of the pod's end: always the same for the same namespace. */
export const podMac = (netns: string): string => `ee:${createHash('sha1').update(netns).digest('hex').slice(0, 10).replace(/(..)(?=.)/g, '$1:')}`;

/** For `ip -batch -` on the host; the network namespace exists, or is made by a line before. */
export const hostCommands = ({ hostInterface, netns, device, address, mtu }: PodWiring): string[] => [
  `link add ${hostInterface} mtu ${mtu} address ${HOST_MAC} type veth peer name ${device} mtu ${mtu} address ${podMac(netns)} netns ${netns}`,
  `link set ${hostInterface} up`,
  `route replace ${address}/32 dev ${hostInterface} scope link`,
];

/** For `ip -batch -` in the pod. */
export const podCommands = ({ device, address }: PodWiring): string[] => [
  'link set lo up',
  `link set ${device} up`,
  `address add ${address}/32 dev ${device}`,
  `neighbor replace ${POD_GATEWAY} lladdr ${HOST_MAC} dev ${device} nud permanent`,
  `route add ${POD_GATEWAY} dev ${device} scope link`,
  `route add default via ${POD_GATEWAY} dev ${device}`,
];

/** Kernel settings of the host that a pod's traffic needs, by their path below /proc/sys. */
export const hostSettings = (hostInterface: string): Readonly<Record<string, string>> => ({ 'net/ipv4/ip_forward': '1', [`net/ipv4/conf/${hostInterface}/forwarding`]: '1' });
