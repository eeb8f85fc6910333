// The hosts as docker-compose.yml has them: the usual ones, in the network that the variable K8S_SUBNET names; with the profile
// `ha` three masters.
import { DEFAULT_WORKERS, GATEWAY, hostsWith, type HostLayout } from '../../cluster-layout.ts';

const DEFAULT_SUBNET = GATEWAY.replace(/\.\d+$/, '');

export const HA_PROFILE = 'ha';
export const HA_MASTERS = 3;

/** `subnet`: the first three numbers of a /24, such as 192.168.1; empty: those. Throws when it is something else. */
export function hostsOf(subnet: string, profiles = ''): { hosts: readonly HostLayout[]; gateway: string } {
  const prefix = subnet === '' ? DEFAULT_SUBNET : subnet;
  if (!/^\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(prefix)) throw new Error(`K8S_SUBNET must be the first three numbers of an IPv4 network, such as ${DEFAULT_SUBNET}, not "${subnet}"`);
  const inSubnet = (address: string): string => prefix + address.slice(DEFAULT_SUBNET.length);
  const masters = profiles.split(',').includes(HA_PROFILE) ? HA_MASTERS : 1;
  return { hosts: hostsWith(DEFAULT_WORKERS, masters).map((host) => ({ ...host, address: inSubnet(host.address) })), gateway: inSubnet(GATEWAY) };
}
