// Cutting components off from each other on the hosts of those who connect: their sockets are told by the group of the process
// (Component.group) or, for pods with a network of their own, by address; the other end is told by address and port.
import { API_PORT, BALANCER_PORT, COMPONENTS, type Component } from '../../cluster-layout.ts';

/** Who asks whom, on which TCP port of the asked. */
const ASKED: readonly { readonly server: string; readonly ports: readonly number[]; readonly clients: readonly string[]; readonly isOnSameHost?: true }[] = [
  { server: 'etcd', ports: [2379], clients: ['apiserver'] },
  { server: 'etcd', ports: [2380], clients: ['etcd'] },
  { server: 'apiserver', ports: [API_PORT], clients: COMPONENTS.map(({ name }) => name).filter((name) => name !== 'etcd' && name !== 'container-runtime') },
  { server: 'kubelet', ports: [10250], clients: ['apiserver', 'metrics-server'] },
  { server: 'metrics-server', ports: [4443], clients: ['apiserver'] },
  // What the kubelet's probes ask.
  { server: 'etcd', ports: [2381], clients: ['kubelet'], isOnSameHost: true },
  { server: 'controller-manager', ports: [10257], clients: ['kubelet'], isOnSameHost: true },
  { server: 'scheduler', ports: [10259], clients: ['kubelet'], isOnSameHost: true },
  { server: 'calico-node', ports: [9099], clients: ['kubelet'], isOnSameHost: true },
  { server: 'coredns', ports: [8080, 8181], clients: ['kubelet'], isOnSameHost: true },
  { server: 'calico-kube-controllers', ports: [9094], clients: ['kubelet'], isOnSameHost: true },
];

/** Those of `server` that `client` connects to. */
export function portsAsked(client: Place, server: Place): readonly number[] {
  if (client.component === server.component && client.address === server.address) return []; // itself
  return ASKED.filter((each) => each.server === server.component.name && each.clients.includes(client.component.name) && (!each.isOnSameHost || client.host === server.host)).flatMap(({ ports }) => ports);
}

/** A component on a host. */
export interface Place {
  readonly component: Component;
  readonly host: string;
  /** Of the host, or of the pod when it has a network of its own. */
  readonly address: string;
  readonly isOwnNetwork?: boolean;
}

/** Who connects to whom, and whose packets are lost. */
export interface Link {
  /** Connections that it has already, where they are known: answers on them are lost before it has used them again. */
  readonly connections?: readonly Connection[];
  readonly client: Place;
  readonly servers: readonly Place[];
  /** The host's own balancer stands for all the API servers, which are then all among `servers`. */
  readonly viaBalancer?: boolean;
  readonly losesRequests: boolean;
  readonly losesAnswers: boolean;
}

/** Every connection between two sides. One way: what `left` sends does not arrive. */
export function linksBetween(left: readonly Place[], right: readonly Place[], isOneWay: boolean): Link[] {
  const links = (clients: readonly Place[], servers: readonly Place[], losesRequests: boolean, losesAnswers: boolean): Link[] => clients.flatMap((client) => {
    const others = servers.filter((server) => portsAsked(client, server).length > 0);
    return others.length === 0 ? [] : [{ client, servers: others, losesRequests, losesAnswers }];
  });
  return [...links(left, right, true, !isOneWay), ...links(right, left, !isOneWay, true)];
}

/** After addresses of services have become those of who serves them, and before those of clients are changed. Source: netfilter_ipv4.h, NF_IP_PRI_NAT_DST -100 and NF_IP_PRI_NAT_SRC 100. */
const BETWEEN_TRANSLATIONS = -5;

/** As the client sees it: `192.168.1.10:58394`. */
export interface Connection {
  readonly from: string;
  readonly to: string;
}

/** Those of a link, out of what `ss -tnpH` prints: LOCAL PEER users:(("NAME",pid=1,fd=2)) at the end of a line. Names of processes have 15 characters. */
export function connectionsOf(link: Link, printed: string): Connection[] {
  const name = link.client.component.processTitle.slice(0, 15);
  const destinations = destinationsOf(link).flatMap(({ addresses, ports }) => addresses.flatMap((address) => ports.map((port) => `${address}:${port}`)));
  return printed.split('\n').flatMap((line) => {
    const [, from = '', to = '', program = ''] = /(\d[\d.]*:\d+)\s+(\d[\d.]*:\d+)\s+users:\(\("([^"]+)"/.exec(line) ?? [];
    return program === name && destinations.includes(to) ? [{ from, to }] : [];
  });
}

/** What of a link stands in nft's words. `what` is done to each packet: `drop`, or something with a chance. */
export interface Cut {
  readonly link: Link;
  readonly what: string;
}

/** Rules for one host, for the links of clients there. */
export function cutRules(cuts: readonly Cut[]): string {
  const sets: string[] = [];
  const learn: string[] = [];
  const lose: string[] = [];
  cuts.forEach(({ link, what }, index) => {
    const destinations = destinationsOf(link);
    if (link.client.isOwnNetwork) {
      for (const { addresses, ports } of destinations) {
        if (link.losesRequests) lose.push(`ip saddr ${link.client.address} ip daddr ${list(addresses)} tcp dport ${list(ports)} ${what}`);
        if (link.losesAnswers) lose.push(`ip daddr ${link.client.address} ip saddr ${list(addresses)} tcp sport ${list(ports)} ${what}`);
      }
      return;
    }
    // Answers do not tell for which process they are: the connections of the client are written down as it uses them.
    const set = `connections${index}`;
    sets.push(`  set ${set} {
    type ipv4_addr . inet_service . ipv4_addr . inet_service
    flags dynamic
    size 65535${known(link.connections ?? [])}
  }`);
    for (const { addresses, ports } of destinations) {
      learn.push(`${socketOf(link.client.component)} ip daddr ${list(addresses)} tcp dport ${list(ports)} update @${set} { ip saddr . tcp sport . ip daddr . tcp dport }`);
    }
    if (link.losesRequests) lose.push(`ip saddr . tcp sport . ip daddr . tcp dport @${set} ${what}`);
    if (link.losesAnswers) lose.push(`ip daddr . tcp dport . ip saddr . tcp sport @${set} ${what}`);
  });
  const chain = (hook: string, lines: readonly string[]): string => `  chain ${hook} {
    type filter hook ${hook} priority ${BETWEEN_TRANSLATIONS}; policy accept;
${lines.map((line) => `    ${line}`).join('\n')}
  }`;
  return [...sets, `  chain lose {\n${lose.map((line) => `    ${line}`).join('\n')}\n  }`, chain('output', [...learn, 'jump lose']), chain('input', ['jump lose']), chain('forward', ['jump lose'])].join('\n');
}

const known = (connections: readonly Connection[]): string =>
  (connections.length === 0 ? '' : `\n    elements = { ${connections.map(({ from, to }) => `${from} . ${to}`.replaceAll(':', ' . ')).join(', ')} }`);

/** Programs without a group of their own: what root runs on the host, the kubelet first of all. */
const socketOf = ({ group = 0 }: Component): string => (group === 0 ? 'meta skuid 0 meta skgid 0' : `meta skgid ${group}`);

interface Destination {
  readonly addresses: readonly string[];
  readonly ports: readonly number[];
}

function destinationsOf({ client, servers, viaBalancer }: Link): Destination[] {
  const byPorts = new Map<string, Destination>();
  for (const server of servers) {
    const { address, host, isOwnNetwork } = server;
    const ports = portsAsked(client, server);
    const addresses = [address, ...(host === client.host && !isOwnNetwork && !client.isOwnNetwork ? ['127.0.0.1'] : [])];
    const known = byPorts.get(ports.join());
    byPorts.set(ports.join(), { ports, addresses: [...new Set([...(known?.addresses ?? []), ...addresses])] });
  }
  return [...byPorts.values(), ...(viaBalancer ? [{ addresses: ['127.0.0.1'], ports: [BALANCER_PORT] }] : [])];
}

const list = (items: readonly (string | number)[]): string => `{ ${items.join(', ')} }`;
