// --host-routes: addresses of hosts, pods and services are reachable from the machine itself, over a pair of devices into
// the outer namespace. It goes with that namespace, and the routes go with the device: nothing is left behind, however
// the cluster ends.
import { execFileSync } from 'node:child_process';
import { systemClock } from '#lib/environment/clock.ts';
import { connectToApiserver, TransportError } from '#lib/api-client/client.ts';
import { blockAffinityKind } from '#lib/kinds/calico/block-affinity.ts';
import { parseIpv4, parseIpv4Cidr, type Cidr } from '#lib/machinery/ipv4.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { HOST_NETWORK, MASTER, POD_CIDR, SERVICE_CIDR } from '../cluster-layout.ts';
import { UserError } from '../user-error.ts';
import type { ClusterFolder } from './cluster-folder.ts';
import { isRootless } from './rootless.ts';

const DESTINATIONS = [HOST_NETWORK, POD_CIDR, SERVICE_CIDR];
/** Addresses of the pair: the machine's and the outer namespace's. */
const LINK_NETWORK = '169.254.77.0/30';
const MACHINE_END = '169.254.77.1';
const LAB_END = '169.254.77.2';
const LAB_DEVICE = 'machine';
const DEVICE_NAME_LENGTH = 15;
const RETRY_MS = 1_000;
const COMMAND_TIMEOUT_MS = 10_000;

const run = (program: string, args: readonly string[], input = ''): string =>
  execFileSync(program, args, { encoding: 'utf8', input, timeout: COMMAND_TIMEOUT_MS, stdio: ['pipe', 'pipe', 'pipe'] });

export interface MachineRoute {
  /** `172.17.0.0/16`, `10.0.0.1`, or `default`. */
  readonly dst: string;
  readonly dev?: string;
}

const overlap = (left: Cidr, right: Cidr): boolean => left.base < right.base + right.size && right.base < left.base + left.size;
const cidrOf = (text: string): Cidr | undefined => {
  const host = parseIpv4(text);
  return host === undefined ? parseIpv4Cidr(text) : { base: host, prefixLength: 32, size: 1 };
};

/** Routes of the machine that lead where the cluster's addresses are. */
export function collisions(routes: readonly MachineRoute[], wanted: readonly string[]): MachineRoute[] {
  return routes.filter(({ dst }) => {
    const taken = dst === 'default' ? undefined : cidrOf(dst);
    return taken !== undefined && wanted.some((each) => overlap(taken, cidrOf(each) as Cidr));
  });
}

/** Throws UserError when the machine cannot have the routes: no right to, or it has such addresses already. */
export function checkHostRoutes(): void {
  if (isRootless()) throw new UserError('--host-routes changes the routes of the machine and needs root');
  const taken = collisions(JSON.parse(run('ip', ['-json', '-4', 'route', 'show', 'table', 'main'])) as MachineRoute[], [...DESTINATIONS, LINK_NETWORK]);
  if (taken.length > 0) {
    const list = taken.map(({ dst, dev }) => `${dst}${dev === undefined ? '' : ` (${dev})`}`).join(', ');
    throw new UserError(`--host-routes is not possible here: the machine has routes to ${list}, where the cluster has its addresses (${DESTINATIONS.join(', ')})`);
  }
}

/** Keeps the outer namespace's routes to the nodes' blocks of pod addresses until `signal` aborts. */
export async function keepBlockRoutes(folder: ClusterFolder, labPid: number, signal: AbortSignal): Promise<void> {
  const api = connectToApiserver(await loadKubeconfig(folder.kubeconfig), 'kubreak');
  try {
    while (!signal.aborted) {
      try {
        const { items, resourceVersion } = await api.list(blockAffinityKind, {}, { signal });
        const blocks = items.flatMap(({ spec }) => (spec?.state === 'confirmed' && spec.deleted !== 'true' ? [{ cidr: spec.cidr, node: spec.node }] : []));
        setBlockRoutes(labPid, folder, blocks);
        for await (const { type } of api.watch(blockAffinityKind, { resourceVersion, signal })) if (type !== 'BOOKMARK') break;
      } catch (error) {
        // The API server may be away, as anything may here: what is known stays.
        if (!signal.aborted && !(error instanceof TransportError) && !(error instanceof StatusError)) throw error;
        await systemClock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  } finally {
    await api.close();
  }
}

const inLab = (labPid: number, script: string): string => run('nsenter', ['-t', String(labPid), '-n', 'sh', '-ec', script]);

/** Connects the machine to the outer namespace. What the hosts send each other must not find a way round through here: only the machine's own traffic is forwarded. */
export function connectMachine(folder: ClusterFolder, labPid: number): void {
  const device = folder.cgroup.slice(0, DEVICE_NAME_LENGTH);
  run('ip', ['-batch', '-'], [
    `link add ${device} type veth peer name ${LAB_DEVICE} netns ${labPid}`,
    `addr add ${MACHINE_END}/30 dev ${device}`,
    `link set ${device} up`,
    '',
  ].join('\n'));
  inLab(labPid, `ip addr add ${LAB_END}/30 dev ${LAB_DEVICE}
ip link set ${LAB_DEVICE} up
ip route replace ${SERVICE_CIDR} via ${MASTER.address}
echo 1 >/proc/sys/net/ipv4/ip_forward
nft -f - <<'E'
table ip kubreak-machine {
  chain forward { type filter hook forward priority 0; policy drop; iifname "${LAB_DEVICE}" accept
    oifname "${LAB_DEVICE}" accept
  }
}
E`);
  run('ip', ['-batch', '-'], [...DESTINATIONS.map((destination) => `route add ${destination} via ${LAB_END} dev ${device} src ${MACHINE_END}`), ''].join('\n'));
}

function setBlockRoutes(labPid: number, folder: ClusterFolder, blocks: readonly { cidr: string; node: string }[]): void {
  const wanted = new Map(blocks.flatMap(({ cidr, node }) => {
    const host = folder.hosts.find(({ name }) => name === node);
    return host ? [[cidr, host.address]] : [];
  }));
  const present = JSON.parse(inLab(labPid, 'ip -json -4 route show')) as { dst: string; gateway?: string }[];
  const stale = collisions(present, [POD_CIDR]).filter(({ dst }) => !wanted.has(dst));
  inLab(labPid, [...stale.map(({ dst }) => `ip route del ${dst}`), ...[...wanted].map(([cidr, via]) => `ip route replace ${cidr} via ${via}`), ':'].join('\n'));
}
