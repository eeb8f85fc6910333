// What the kernel has and gets: routes of ours by `ip`, NAT by `nft`, interfaces with their addresses.
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline';
import type { Clock } from '#lib/environment/clock.ts';
import { runCommand } from '#lib/service/run-command.ts';
import type { LinkAddress, Route, RouteChanges } from '../core/routes.ts';

/** `bird` in /etc/iproute2/rt_protos: the mark by which our routes are told from others'. */
const ROUTE_PROTOCOL = '12';
const MONITOR_RESTART_MS = 1_000;

interface KernelRoute {
  readonly type?: string;
  readonly dst: string;
  readonly gateway?: string;
  readonly dev?: string;
  readonly protocol?: string;
}

/** The routes that carry our mark. */
export async function ownRoutes(): Promise<Route[]> {
  const routes = JSON.parse((await runCommand('ip', ['-4', '-N', '-j', 'route', 'show', 'table', 'main', 'proto', ROUTE_PROTOCOL])) || '[]') as KernelRoute[];
  return routes.map(({ dst, gateway, dev, type }) => ({
    destination: dst.includes('/') ? dst : `${dst}/32`,
    via: gateway,
    device: gateway === undefined && (type === 'blackhole' || type === '6') ? undefined : dev,
  }));
}

/** Throws CommandError with the first line that `ip` refused; the others are carried out. */
export async function changeRoutes({ remove, put }: RouteChanges): Promise<void> {
  const lines = [
    ...remove.map((route) => `route del ${routeText(route)}`),
    ...put.map((route) => `route replace ${routeText(route)}`),
  ];
  if (lines.length > 0) await runCommand('ip', ['-force', '-batch', '-'], `${lines.join('\n')}\n`);
}

const routeText = ({ destination, via, device }: Route): string =>
  via === undefined ? `${device === undefined ? 'blackhole ' : ''}${destination} proto ${ROUTE_PROTOCOL}` : `${destination} via ${via} dev ${device ?? ''} proto ${ROUTE_PROTOCOL}`;

/** IPv4 addresses of interfaces that are up. */
export function linkAddresses(): LinkAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([device, addresses]) =>
    (addresses ?? []).flatMap(({ family, cidr }) => (family === 'IPv4' && cidr !== null ? [{ device, cidr }] : [])));
}

/** Ends the labels of the addresses that are here for load balancers, so that they are told from the host's own. */
const LOAD_BALANCER_LABEL = ':lb';

interface KernelLink {
  readonly ifname: string;
  readonly addr_info: readonly { readonly local?: string; readonly label?: string }[];
}

/** The addresses of load balancers that this host answers for, with the interface that has each. */
export async function loadBalancerAddresses(): Promise<{ readonly device: string; readonly address: string }[]> {
  const links = JSON.parse((await runCommand('ip', ['-4', '-j', 'address', 'show'])) || '[]') as KernelLink[];
  return links.flatMap(({ ifname, addr_info: addresses }) =>
    addresses.flatMap(({ local, label }) => (local !== undefined && label?.endsWith(LOAD_BALANCER_LABEL) === true ? [{ device: ifname, address: local }] : [])));
}

/** Takes addresses off and puts others on `device`; tells the neighbours of new ones where there is an arping. */
export async function changeLoadBalancerAddresses(device: string, remove: readonly { readonly device: string; readonly address: string }[], put: readonly string[]): Promise<void> {
  const lines = [
    ...remove.map((one) => `address del ${one.address}/32 dev ${one.device}`),
    ...put.map((address) => `address replace ${address}/32 dev ${device} label ${device}${LOAD_BALANCER_LABEL}`),
  ];
  if (lines.length > 0) await runCommand('ip', ['-force', '-batch', '-'], `${lines.join('\n')}\n`);
  for (const address of put) {
    await runCommand('arping', ['-U', '-c', '1', '-w', '1', '-I', device, address]).catch(() => undefined); // without it they ask again when their entry has aged
  }
}

/** How many pods have an address: the host routes towards their interfaces. */
export async function podRoutes(): Promise<string[]> {
  const routes = JSON.parse((await runCommand('ip', ['-4', '-j', 'route', 'show', 'table', 'main', 'scope', 'link'])) || '[]') as KernelRoute[];
  return routes.filter(({ dev }) => dev?.startsWith('cali') === true).map(({ dst }) => dst);
}

/** Carries out an nft script as one transaction. */
export async function applyNft(script: string): Promise<void> {
  await runCommand('nft', ['-f', '-'], script);
}

export async function nftTableExists(table: string): Promise<boolean> {
  return (await runCommand('nft', ['list', 'tables', 'ip'])).split('\n').includes(`table ip ${table}`);
}

export async function switchForwardingOn(): Promise<void> {
  const file = '/proc/sys/net/ipv4/ip_forward';
  if ((await readFile(file, 'utf8')).trim() !== '1') await writeFile(file, '1');
}

/**
 * Calls `onChange` after every change of a link, address or route, with whether it concerns a pod's interface; until
 * the signal aborts. A monitor that ends is started again, which counts as a change, for some may have been missed.
 */
export async function watchKernelNetwork(onChange: (isPodInterface: boolean) => void, { clock, signal }: { clock: Clock; signal: AbortSignal }): Promise<void> {
  while (!signal.aborted) {
    const child = spawn('ip', ['-4', 'monitor', 'link', 'address', 'route'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const stop = (): void => void child.kill('SIGKILL');
    signal.addEventListener('abort', stop, { once: true });
    const ended = new Promise<void>((resolve) => {
      child.once('error', () => resolve());
      child.once('close', () => resolve());
    });
    createInterface({ input: child.stdout }).on('line', (line) => onChange(line.includes('cali')));
    await ended;
    signal.removeEventListener('abort', stop);
    if (signal.aborted) return;
    await clock.sleep(MONITOR_RESTART_MS, signal).catch(() => undefined);
    onChange(false);
  }
}
