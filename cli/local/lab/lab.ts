// Network, power and relay of the hosts.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { systemClock } from '#lib/environment/clock.ts';
import { systemRandom } from '#lib/environment/random.ts';
import { aborted } from '#lib/service/abort.ts';
import { joinSockets } from '#lib/balancer/join-sockets.ts';
import { CGROUP_CONTROLLERS, hostBootScript } from './host-boot.ts';
import { LAB_SOCKET, RELAY_SOCKET, type LabConfig, type LabHost } from './lab-config.ts';

const BRIDGE = 'kubreak0';
const COMMAND_TIMEOUT_MS = 20_000;
/** A host that cannot boot is tried again this often; milliseconds. */
const BOOT_RETRY_MS = 1_000;

export async function runLab(config: LabConfig, signal: AbortSignal): Promise<void> {
  buildNetwork(config);
  if (config.rootlessBase === undefined) makeCgroups(config, config.hosts); // control groups belong to the machine
  mkdirSync('/run/kubreak', { recursive: true });
  const known = new Map(config.hosts.map((host) => [host.name, host]));
  const hosts = new Map<string, PoweredHost>();
  const power = (host: LabHost): void => void hosts.set(host.name, powerOn(host, config));
  await serveRelay(config, signal);
  takeEtcdConnections(config);
  serveLabSocket({
    cycle: (name) => hosts.get(name)?.cycle(),
    async off(name) {
      await hosts.get(name)?.powerOff();
      sh(`ip -n ${name} link set eth0 down`); // its network card has no power either
    },
    on(name) {
      const host = known.get(name);
      if (host && hosts.get(name)?.isOff() !== false) power(host);
    },
    add(host) {
      ip(cableOf(host));
      if (config.rootlessBase === undefined) makeCgroups(config, [host]);
      known.set(host.name, host);
      power(host);
    },
    async remove(name) {
      await hosts.get(name)?.powerOff();
      hosts.delete(name);
      known.delete(name);
      disconnectHost(name);
    },
    has: (name) => known.has(name),
  });
  process.stdout.write('lab is up\n');
  await aborted(signal);
  // Cut the power: what was acknowledged is on disk, and the next start is the same as after any other crash.
  await Promise.all([...hosts.values()].map((host) => host.powerOff()));
}

function sh(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: ['ignore', 'ignore', 'inherit'], timeout: COMMAND_TIMEOUT_MS });
}

function ip(lines: readonly string[]): void {
  execFileSync('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n`, stdio: ['pipe', 'ignore', 'inherit'], timeout: COMMAND_TIMEOUT_MS });
}

/** A bridge with the gateway's address, and for each host a network namespace that outlives its boots. */
function buildNetwork(config: LabConfig): void {
  const { hosts, gateway, prefixLength } = config;
  sh(`mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
for key in iptables ip6tables arptables; do
  f=/proc/sys/net/bridge/bridge-nf-call-$key
  [ -e $f ] && echo 0 > $f || :
done`);
  ip(['link set lo up', `link add ${BRIDGE} type bridge`, `addr add ${gateway}/${prefixLength} dev ${BRIDGE}`, `link set ${BRIDGE} up`, ...hosts.flatMap(cableOf)]);
}

/** Its end on the bridge, within the 15 characters that a device may have. */
const portOf = ({ address }: LabHost): string => `port${address.slice(address.lastIndexOf('.') + 1)}`;

/** Its namespace, and the cable in it. The address is the host's business: it sets it when it boots. */
const cableOf = (host: LabHost): string[] => [
  `netns add ${host.name}`, `link add ${portOf(host)} type veth peer name eth0 netns ${host.name}`, `link set ${portOf(host)} master ${BRIDGE} up`,
];

/** The pair of devices goes with the namespace. */
function disconnectHost(name: string): void {
  ip([`netns del ${name}`]);
}

/** One group a host in each hierarchy, with `host` for its own processes; containers get groups beside it. */
function makeCgroups({ cgroup }: LabConfig, hosts: readonly LabHost[]): void {
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
        const group = `${root}/${cgroup}/${name}`;
        mkdirSync(`${group}/host`, { recursive: true });
        delegate(group);
      }
    } catch (error) {
      // The machine does not let us: hosts and containers run without limits of this controller.
      process.stderr.write(`kubreak: no cgroups of controller "${controller || 'v2'}": ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

interface PoweredHost {
  /** Cuts the power; the host boots again. */
  cycle(): void;
  /** Resolves when everything on it has ended. */
  powerOff(): Promise<void>;
  isOff(): boolean;
}

/** Kills PID 1 of the host: `unshare`, its parent, ends when nothing is left in the namespace. */
function cutPower(unshare: ChildProcess | undefined): void {
  if (unshare?.pid === undefined) return;
  const list = `/proc/${unshare.pid}/task/${unshare.pid}/children`;
  const children = existsSync(list) ? readFileSync(list, 'utf8').trim() : '';
  if (children === '') unshare.kill('SIGKILL');
  else for (const pid of children.split(' ')) process.kill(Number(pid), 'SIGKILL');
}

function powerOn(host: LabHost, config: LabConfig): PoweredHost {
  const off = new AbortController();
  let init: ChildProcess | undefined;
  const keepUp = async (): Promise<void> => {
    while (!off.signal.aborted) {
      const startedMs = systemClock.nowMs();
      const child = spawn('nsenter', [`--net=/run/netns/${host.name}`, 'unshare', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child=SIGKILL', 'sh', '-c', hostBootScript(host, config, randomUUID())],
        { stdio: ['ignore', 'inherit', 'inherit'] });
      init = child;
      await new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()));
      if (systemClock.nowMs() - startedMs < BOOT_RETRY_MS) await systemClock.sleep(BOOT_RETRY_MS, off.signal).catch(() => undefined);
    }
  };
  const ended = keepUp();
  return {
    cycle: () => cutPower(init),
    powerOff() {
      off.abort();
      cutPower(init);
      return ended;
    },
    isOff: () => off.signal.aborted,
  };
}

/** Byte for byte between a unix socket, which the supervisor reaches from outside, and an API server. */
async function serveRelay({ apiServers }: LabConfig, signal: AbortSignal): Promise<void> {
  rmSync(RELAY_SOCKET, { force: true });
  const join = apiServers.length > 1 ? await balancing(apiServers, signal) : (outside: Socket) => {
    const [only] = apiServers;
    if (only) joinSockets(outside, connect({ ...only, allowHalfOpen: true }));
  };
  createServer({ allowHalfOpen: true }, join).listen(RELAY_SOCKET);
}

/** What a load balancer in front of the masters is for those outside of the cluster. */
async function balancing(apiServers: LabConfig['apiServers'], signal: AbortSignal): Promise<(outside: Socket) => void> {
  const [{ TcpBalancer }, { readyzProbe }] = await Promise.all([import('#lib/balancer/tcp-balancer.ts'), import('#lib/balancer/readyz-probe.ts')]);
  const balancer = new TcpBalancer({
    addresses: apiServers, newProbe: readyzProbe, clock: systemClock, random: systemRandom,
    onHealth: ({ host, port }, health) => process.stdout.write(`balancer: ${host}:${port} is ${health}\n`),
  });
  void balancer.run(signal);
  return (outside) => void balancer.serve(outside);
}

const FIRST_ETCD_PORT = 23_790;

/** What hosts send to an etcd outside comes here, by way of their gateway, and goes to the supervisor. */
function takeEtcdConnections({ etcd, gateway }: LabConfig): void {
  if (etcd.length === 0) return;
  const rules = etcd.map(({ address, port }, at) => `ip daddr ${address} tcp dport ${port} redirect to :${FIRST_ETCD_PORT + at}`);
  sh(`nft -f - <<'E'\ntable ip kubreak-etcd {\n chain prerouting { type nat hook prerouting priority dstnat;\n  ${rules.join('\n  ')}\n }\n}\nE`);
  etcd.forEach(({ socket }, at) => createServer({ allowHalfOpen: true, noDelay: true }, (inside) => joinSockets(inside, connect({ path: socket, allowHalfOpen: true }))).listen(FIRST_ETCD_PORT + at, gateway));
}

interface LabLevers {
  cycle(name: string): void;
  off(name: string): Promise<void>;
  on(name: string): void;
  add(host: LabHost): void;
  remove(name: string): Promise<void>;
  has(name: string): boolean;
}

/** One line in, one out: `on NAME` powers a host (at first none is), `cycle NAME` cuts its power, `off NAME` until the next `on NAME`, `remove NAME` for good, `add HOST` (JSON) boots one more. */
function serveLabSocket(levers: LabLevers): void {
  const answer = async (line: string): Promise<void> => {
    const space = line.indexOf(' ');
    const [verb, rest] = [line.slice(0, space), line.slice(space + 1)];
    if (verb === 'add') {
      const host = JSON.parse(rest) as LabHost;
      if (!levers.has(host.name)) levers.add(host);
    } else if (verb === 'remove') {
      if (levers.has(rest)) await levers.remove(rest);
    } else if (!levers.has(rest)) throw new Error(`no such host: ${rest}`);
    else if (verb === 'cycle') levers.cycle(rest);
    else if (verb === 'off') await levers.off(rest);
    else if (verb === 'on') levers.on(rest);
    else throw new Error(`no such request: ${verb}`);
  };
  rmSync(LAB_SOCKET, { force: true });
  createServer((socket) => {
    socket.setEncoding('utf8');
    socket.on('error', () => socket.destroy());
    socket.once('data', (line: string) => {
      answer(line.trim()).then(() => socket.end('ok\n'), (error: unknown) => socket.end(`${error instanceof Error ? error.message : String(error)}\n`));
    });
  }).listen(LAB_SOCKET);
}
