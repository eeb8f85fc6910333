// `calico` wires a pod, `calico-ipam` deals its address.
import { readFileSync, writeFileSync } from 'node:fs';
import { hasInterface } from '#lib/pod-network/interfaces.ts';
import { DEFAULT_MTU, HOST_INTERFACE_PREFIX, hostCommands, hostInterfaceName, hostSettings, podCommands, podMac, type PodWiring } from '#lib/pod-network/wiring.ts';
import { runCommand } from '#lib/service/run-command.ts';
import { CniError, INVALID_CONFIG, type CniCall, type CniResult } from '../../core/cni-call.ts';
import { AddressStore } from './address-store.ts';
import { inNetns, type CniProgram } from './program.ts';

const IPAM = 'calico-ipam';

export const calicoIpam: CniProgram = {
  async add(call): Promise<CniResult> {
    return { ips: [{ address: `${await takeAddress(call)}/32` }] };
  },
  async del(call): Promise<void> {
    storeOf(call).release(call);
  },
  async check(call): Promise<void> {
    if (storeOf(call).of(call).length === 0) throw new Error(`no address is assigned to container ${call.containerId}`);
  },
};

export const calico: CniProgram = {
  async add(call): Promise<CniResult> {
    if (call.config.ipam?.type !== IPAM) throw new CniError(INVALID_CONFIG, `unknown ipam type "${call.config.ipam?.type ?? ''}": this plugin deals addresses by "${IPAM}" only`);
    const address = await takeAddress(call);
    const wiring: PodWiring = { hostInterface: hostInterfaceOf(call), netns: call.netns, device: call.device, address, mtu: call.config.mtu ?? DEFAULT_MTU };
    try {
      await connect(wiring);
    } catch (error) {
      await disconnect(wiring.hostInterface, address);
      storeOf(call).release(call);
      throw error;
    }
    return {
      interfaces: [{ name: wiring.hostInterface }, { name: call.device, mac: podMac(call.netns), sandbox: call.netns }],
      ips: [{ address: `${address}/32`, interface: 1 }],
    };
  },

  async del(call): Promise<void> {
    for (const address of storeOf(call).of(call)) await disconnect(hostInterfaceOf(call), address);
    storeOf(call).release(call);
  },

  async check(call): Promise<void> {
    const [address] = storeOf(call).of(call);
    if (address === undefined) throw new Error(`no address is assigned to container ${call.containerId}`);
    const inPod = await inNetns(call.netns, 'ip', ['-o', '-4', 'address', 'show', 'dev', call.device]);
    if (!inPod.includes(` ${address}/32 `)) throw new Error(`${call.device} in ${call.netns} does not have the address ${address}`);
    if ((await deviceOfRoute(address)) !== hostInterfaceOf(call)) throw new Error(`no route leads to ${address}`);
  },
};

const storeOf = ({ config }: CniCall): AddressStore => new AddressStore(config.name, config.ipam?.dataDir);

const hostInterfaceOf = ({ args, containerId }: CniCall): string => {
  const { K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: pod } = args;
  return namespace !== undefined && pod !== undefined ? hostInterfaceName(namespace, pod) : `${HOST_INTERFACE_PREFIX}${containerId.slice(0, 11)}`;
};

async function takeAddress(call: CniCall): Promise<string> {
  const blocks = call.config.ipam?.blocks ?? [];
  if (blocks.length === 0) throw new CniError(INVALID_CONFIG, 'the configuration\'s "ipam" lists no blocks');
  // Pods of a runtime that this node had before have their addresses, too.
  const routes = (await runCommand('ip', ['-o', '-4', 'route', 'show'])).split('\n');
  const inUse = routes.flatMap((line) => /^(\d+\.\d+\.\d+\.\d+) dev /.exec(line)?.[1] ?? []);
  return storeOf(call).take(call, blocks, inUse);
}

async function connect(wiring: PodWiring): Promise<void> {
  // An earlier sandbox of the same pod may have left the interface.
  if (hasInterface(wiring.hostInterface)) await runCommand('ip', ['link', 'del', wiring.hostInterface]);
  await runCommand('ip', ['-batch', '-'], `${hostCommands(wiring).join('\n')}\n`);
  await inNetns(wiring.netns, 'ip', ['-batch', '-'], `${podCommands(wiring).join('\n')}\n`);
  for (const [name, value] of Object.entries(hostSettings(wiring.hostInterface))) {
    const path = `/proc/sys/${name}`;
    if (readFileSync(path, 'utf8').trim() !== value) writeFileSync(path, value);
  }
}

/** Unless a later sandbox of the same pod has already taken the name. */
async function disconnect(hostInterface: string, address: string): Promise<void> {
  if ((await deviceOfRoute(address)) === hostInterface && hasInterface(hostInterface)) await runCommand('ip', ['link', 'del', hostInterface]);
}

async function deviceOfRoute(address: string): Promise<string | undefined> {
  return / dev (\S+)/.exec(await runCommand('ip', ['-o', '-4', 'route', 'show', `${address}/32`]))?.[1];
}
