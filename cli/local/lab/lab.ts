// Network, power and relay of the hosts.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { systemClock } from '#lib/environment/clock.ts';
import { aborted } from '#lib/service/abort.ts';
import { joinSockets } from '../join-sockets.ts';
import { CGROUP_CONTROLLERS, hostBootScript } from './host-boot.ts';
import { LAB_SOCKET, RELAY_SOCKET, type LabConfig, type LabHost } from './lab-config.ts';

const BRIDGE = 'kubreak0';
const COMMAND_TIMEOUT_MS = 20_000;
/** A host that cannot boot is tried again this often; milliseconds. */
const BOOT_RETRY_MS = 1_000;

export async function runLab(config: LabConfig, signal: AbortSignal): Promise<void> {
  buildNetwork(config);
  if (config.rootlessBase === undefined) makeCgroups(config); // control groups belong to the machine
  mkdirSync('/run/kubreak', { recursive: true });
  const powered = new Map<string, ChildProcess>();
  const hosts = config.hosts.map((host) => keepHostUp(host, config, powered, signal));
  serveRelay(config.apiserver);
  serveLabSocket(powered);
  process.stdout.write('lab is up\n');
  await aborted(signal);
  // Cut the power: what was acknowledged is on disk, and the next start is the same as after any other crash.
  for (const init of powered.values()) init.kill('SIGKILL');
  await Promise.all(hosts);
}

function sh(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'ignore', 'inherit'], timeout: COMMAND_TIMEOUT_MS });
}

/** A bridge with the gateway's address, and for each host a network namespace that outlives its boots. */
function buildNetwork({ hosts, gateway, prefixLength }: LabConfig): void {
  sh(`mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
ip link add ${BRIDGE} type bridge
ip addr add ${gateway}/${prefixLength} dev ${BRIDGE}
ip link set ${BRIDGE} up
for key in iptables ip6tables arptables; do
  f=/proc/sys/net/bridge/bridge-nf-call-$key
  [ -e $f ] && echo 0 > $f || :
done`);
  for (const { name, address } of hosts) {
    sh(`ip netns add ${name}
ip link add ${name} type veth peer name eth0 netns ${name}
ip link set ${name} master ${BRIDGE} up
ip -n ${name} addr add ${address}/${prefixLength} dev eth0
ip -n ${name} link set lo up
ip -n ${name} link set eth0 up
ip -n ${name} route add default via ${gateway}`);
  }
}

/** One group a host in each hierarchy, with `host` for its own processes; containers get groups beside it. */
function makeCgroups({ cgroup, hosts }: LabConfig): void {
  for (const controller of CGROUP_CONTROLLERS) {
    const root = `/sys/fs/cgroup/${controller}`;
    if (controller === '' ? !existsSync('/sys/fs/cgroup/cgroup.controllers') : !existsSync(`${root}/cgroup.procs`)) continue;
    const delegate = (path: string) => {
      if (controller === '') writeFileSync(`${path}/cgroup.subtree_control`, '+memory +cpu +pids');
    };
    try {
      mkdirSync(`${root}/${cgroup}`, { recursive: true });
      delegate(root);
      delegate(`${root}/${cgroup}`);
      for (const { name } of hosts) {
        mkdirSync(`${root}/${cgroup}/${name}/host`, { recursive: true });
        delegate(`${root}/${cgroup}/${name}`);
      }
    } catch (error) {
      // The machine does not let us: hosts and containers run without limits of this controller.
      process.stderr.write(`kubreak: no cgroups of controller "${controller || 'v2'}": ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

async function keepHostUp(host: LabHost, config: LabConfig, powered: Map<string, ChildProcess>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const startedMs = systemClock.nowMs();
    const init = spawn('nsenter', [`--net=/run/netns/${host.name}`, 'unshare', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child=SIGKILL', 'sh', '-c', hostBootScript(host, config, randomUUID())],
      { stdio: ['ignore', 'inherit', 'inherit'] });
    powered.set(host.name, init);
    await new Promise<void>((resolve) => {
      init.once('exit', () => resolve());
      init.once('error', () => resolve());
    });
    powered.delete(host.name);
    if (systemClock.nowMs() - startedMs < BOOT_RETRY_MS) await systemClock.sleep(BOOT_RETRY_MS, signal).catch(() => undefined);
  }
}

/** Byte for byte between a unix socket, which the supervisor reaches from outside, and the API server. */
function serveRelay(apiserver: string): void {
  const [host = '', port = ''] = apiserver.split(':');
  rmSync(RELAY_SOCKET, { force: true });
  createServer({ allowHalfOpen: true }, (outside) => {
    const inside = connect({ host, port: Number(port), allowHalfOpen: true });
    joinSockets(outside, inside);
  }).listen(RELAY_SOCKET);
}

/** One word in (`cycle HOST`): cuts the power of a host and boots it again. */
function serveLabSocket(powered: ReadonlyMap<string, ChildProcess>): void {
  rmSync(LAB_SOCKET, { force: true });
  createServer((socket) => {
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.once('data', (line: string) => {
      const [verb, host = ''] = line.trim().split(' ');
      const init = powered.get(host);
      if (verb === 'cycle' && init) {
        init.kill('SIGKILL');
        socket.end('ok\n');
      } else socket.end(`no such host: ${host}\n`);
    });
  }).listen(LAB_SOCKET);
}
