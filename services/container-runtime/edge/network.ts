// The pods' network on this node: what a CNI plugin does elsewhere. It waits for calico-node's configuration, deals
// addresses from the node's blocks and wires each sandbox: a network namespace, a pair of interfaces, a route to it.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { PodSandboxConfig } from '#lib/cri/messages.ts';
import { formatAddress, nextAddress, parseAddress, parseBlock, type Block } from '#lib/pod-network/addresses.ts';
import { hasInterface } from '#lib/pod-network/interfaces.ts';
import { DEFAULT_MTU, hostCommands, hostSettings, podCommands } from '#lib/pod-network/wiring.ts';
import { runCommand } from '#lib/service/run-command.ts';
import { replaceFile, type Sandbox } from './records.ts';

const NETNS_FOLDER = '/run/netns';
/** Begin of the names of our network namespaces, as containerd names its own. */
const NETNS_PREFIX = 'cni-';
const HOST_PORTS_TABLE = 'kubreak-hostports';

export interface NetworkConfig {
  readonly blocks: readonly Block[];
  readonly mtu: number;
}

interface ConfList {
  readonly plugins?: readonly {
    readonly type?: string;
    readonly mtu?: number;
    readonly ipam?: { readonly type?: string; readonly blocks?: readonly string[] };
  }[];
}

export class NetworkNotReady extends Error {
  override readonly name = 'NetworkNotReady';
}

export const netnsName = (sandboxId: string): string => `${NETNS_PREFIX}${sandboxId.slice(0, 8)}-${sandboxId.slice(8, 12)}-${sandboxId.slice(12, 16)}-${sandboxId.slice(16, 20)}-${sandboxId.slice(20, 32)}`;
export const netnsPath = (name: string): string => join(NETNS_FOLDER, name);

export class PodNetwork {
  readonly #confFolder: string;
  readonly #lastFile: string;
  readonly #log: Logger;
  #last: number | undefined;
  /** Addresses of sandboxes that are being made or are ready. */
  readonly #taken = new Set<number>();
  #hostPortsInForce = '';

  constructor({ confFolder, root, log }: { confFolder: string; root: string; log: Logger }) {
    this.#confFolder = confFolder;
    this.#lastFile = join(root, 'last-address');
    this.#log = log;
    this.#last = existsSync(this.#lastFile) ? parseAddress(readFileSync(this.#lastFile, 'utf8').trim()) : undefined;
  }

  /** The configuration as it stands now. Throws NetworkNotReady, with containerd's words, while there is none. */
  readConfig(): NetworkConfig {
    const names = existsSync(this.#confFolder) ? readdirSync(this.#confFolder).filter((name) => /\.(conflist|conf|json)$/.test(name)).sort() : [];
    const name = names[0];
    if (name === undefined) throw new NetworkNotReady('cni plugin not initialized');
    try {
      const { plugins = [] } = JSON.parse(readFileSync(join(this.#confFolder, name), 'utf8')) as ConfList;
      const calico = plugins.find(({ type }) => type === 'calico');
      if (!calico) throw new Error('it names no plugin of type "calico", the only one built into this runtime');
      const blocks = (calico.ipam?.blocks ?? []).map(parseBlock);
      if (blocks.length === 0) throw new Error('its "ipam" lists no blocks');
      return { blocks, mtu: calico.mtu ?? DEFAULT_MTU };
    } catch (error) {
      throw new NetworkNotReady(`cni config load failed: ${join(this.#confFolder, name)}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  /** Takes the next address. It is on disk before it is used, so that no restart deals it again. */
  takeAddress(): string {
    const address = nextAddress(this.readConfig().blocks, this.#last, this.#taken);
    if (address === undefined) throw new Error('failed to request IPv4 addresses: no more free addresses in the node\'s blocks');
    this.#last = address;
    this.#taken.add(address);
    replaceFile(this.#lastFile, formatAddress(address));
    return formatAddress(address);
  }

  markTaken(address: string): void {
    if (address !== '') this.#taken.add(parseAddress(address));
  }

  /** Wires the sandbox. On failure the caller calls `disconnect`. */
  async connect({ netns, hostInterface, address, config }: Sandbox): Promise<void> {
    const { mtu } = this.readConfig();
    // An earlier sandbox of the same pod may have left the interface.
    if (hasInterface(hostInterface)) await runCommand('ip', ['link', 'del', hostInterface]).catch(() => '');
    const wiring = { hostInterface, netns, device: 'eth0', address, mtu };
    await runCommand('ip', ['-batch', '-'], [`netns add ${netns}`, ...hostCommands(wiring), ''].join('\n'));
    await runCommand('ip', ['-n', netns, '-batch', '-'], [...podCommands(wiring), ''].join('\n'));
    for (const [name, value] of Object.entries(hostSettings(hostInterface))) this.#hostSetting(name, value);
    const sysctls = Object.entries(config.linux?.sysctls ?? {}).filter(([name]) => name.startsWith('net.'));
    if (sysctls.length > 0) await runCommand('ip', ['netns', 'exec', netns, 'sysctl', '-q', '-w', ...sysctls.map(([name, value]) => `${name}=${value}`)]);
  }

  /** Takes the network of a sandbox away; may be repeated. */
  async disconnect({ netns, hostInterface, address }: Sandbox): Promise<void> {
    if (netns === '') return;
    if (existsSync(netnsPath(netns))) {
      // The interface goes with its namespace, unless a later sandbox of the same pod has already taken the name.
      const route = await runCommand('ip', ['-o', 'route', 'show', `${address}/32`]).catch(() => '');
      if (route.includes(` ${hostInterface} `)) await runCommand('ip', ['link', 'del', hostInterface]).catch(() => '');
      await runCommand('ip', ['netns', 'del', netns]);
    }
    if (address !== '') this.#taken.delete(parseAddress(address));
  }

  isConnected({ netns }: Sandbox): boolean {
    return netns === '' || existsSync(netnsPath(netns));
  }

  /** Removes network namespaces which a crash or a reboot left behind. */
  async sweep(known: readonly Sandbox[]): Promise<void> {
    if (!existsSync(NETNS_FOLDER)) return;
    const wanted = new Set(known.map(({ netns }) => netns));
    for (const name of readdirSync(NETNS_FOLDER)) {
      if (!name.startsWith(NETNS_PREFIX) || wanted.has(name)) continue;
      this.#log.info({ netns: name }, 'removing a network namespace that belongs to no sandbox');
      await runCommand('ip', ['netns', 'del', name]);
    }
  }

  /** Host ports of all ready sandboxes, replaced in one transaction; does nothing when they have not changed. */
  async publishHostPorts(sandboxes: readonly { readonly address: string; readonly config: PodSandboxConfig }[]): Promise<void> {
    const entries = sandboxes.flatMap(({ address, config }) => (address === '' ? [] : config.portMappings.filter(({ hostPort }) => hostPort > 0)
      .map(({ protocol, hostPort, containerPort, hostIp }) => {
        const to = `${protocol.toLowerCase()} dport ${hostPort} dnat to ${address}:${containerPort === 0 ? hostPort : containerPort}`;
        return hostIp === '' || hostIp === '0.0.0.0' ? `fib daddr type local ${to}` : `ip daddr ${hostIp} ${to}`;
      })));
    const rules = entries.sort().join('\n');
    if (rules === this.#hostPortsInForce) return;
    const table = rules === '' ? '' : `table ip ${HOST_PORTS_TABLE} {
chain ports {
${rules}
}
chain prerouting { type nat hook prerouting priority -101; policy accept; jump ports
}
chain output { type nat hook output priority -101; policy accept; jump ports
}
}
`;
    await runCommand('nft', ['-f', '-'], `table ip ${HOST_PORTS_TABLE} {\n}\ndelete table ip ${HOST_PORTS_TABLE}\n${table}`);
    this.#hostPortsInForce = rules;
  }

  #hostSetting(name: string, value: string): void {
    const path = `/proc/sys/${name}`;
    try {
      if (readFileSync(path, 'utf8').trim() !== value) writeFileSync(path, value);
    } catch (error) {
      this.#log.warn({ setting: name, err: error }, 'cannot set a kernel setting that pod traffic needs');
    }
  }
}
