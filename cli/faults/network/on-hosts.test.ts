// Faults of the network on three hosts that are nothing but network: what gets through, and that nothing is left when whoever
// makes them dies at any step.
import assert from 'node:assert/strict';
import { spawn, type ChildProcess, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import type { ClusterAccess, CommandResult } from '../../access/cluster-access.ts';
import { runCommand } from '../../access/run-command.ts';
import { CLUSTER_DNS, COMPONENTS, GATEWAY, hostsWith } from '../../cluster-layout.ts';
import type { FaultKind, FaultWords } from '../fault.ts';
import { dnsFault } from './dns.ts';
import { isolateFault } from './isolate.ts';
import { netemFault } from './netem.ts';
import { partitionFault } from './partition.ts';

const HOSTS = hostsWith(2);
const [MASTER, W1, W2] = ['192.168.1.10', '192.168.1.101', '192.168.1.102'] as const;
const HELPER = fileURLToPath(new URL('../helper/main.ts', import.meta.url));
const PORT = 6443;

class Killed extends Error {}

/** A network namespace each on a bridge in one more; in each a server on port 6443 that says hello, and again what it is told. */
class Hosts {
  readonly #processes: ChildProcess[] = [];
  readonly #inits = new Map<string, string>();
  readonly #helper = join(scratchFolder('kubreak-network-faults'), 'fault-helper.js');

  async up(): Promise<void> {
    buildSync({ entryPoints: [HELPER], outfile: this.#helper, bundle: true, platform: 'node', format: 'cjs', logLevel: 'warning' });
    for (const name of ['switch', ...HOSTS.map((host) => host.name)]) {
      // PID 1 reaps what is left to it, as on any host.
      const script = 'mount -t tmpfs tmpfs /run; ip link set lo up; echo up; while :; do sleep 1000 & wait; done';
      const child = spawn('unshare', ['--net', '--pid', '--mount', '--fork', '--kill-child=SIGKILL', '--mount-proc', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
      this.#processes.push(child);
      await once(child.stdout, 'data');
      this.#inits.set(name, readFileSync(`/proc/${child.pid ?? 0}/task/${child.pid ?? 0}/children`, 'utf8').trim());
    }
    await this.ok('switch', `ip link add bridge type bridge; ip addr add ${GATEWAY}/24 dev bridge; ip link set bridge up`);
    for (const { name, address } of HOSTS) {
      await this.ok('switch', `ip link add port type veth peer name eth0 netns ${this.#init(name)} && ip link set port name port${address.replace(/.*\./, '')} && ip link set port${address.replace(/.*\./, '')} master bridge up`);
      await this.ok(name, `ip addr add ${address}/24 dev eth0; ip link set eth0 up; ip route add default via ${GATEWAY}`);
      this.#processes.push(this.start(name, ['busybox', 'nc', '-ll', '-p', String(PORT), '-e', 'sh', '-c', 'echo hello; read -r line && echo "again $line"']));
      while (!(await this.hears(name, address))) continue; // it is starting
    }
  }
  down(): void {
    for (const child of this.#processes) child.kill('SIGKILL');
  }
  #init(name: string): string {
    return this.#inits.get(name) ?? '';
  }
  #inside(name: string): string[] {
    return ['nsenter', '-t', this.#init(name), '-n', ...(name === 'switch' ? [] : ['-p', '-m']), '--']; // who plugs cables in has to see whose
  }
  start(name: string, words: readonly string[]): ChildProcessByStdio<Writable, Readable, null> {
    const [program = '', ...args] = [...this.#inside(name), ...words];
    return spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  }
  run(name: string, words: readonly string[], input = ''): Promise<CommandResult> {
    return runCommand([...this.#inside(name), ...words], { input, timeoutMs: 60_000 });
  }
  async ok(name: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await this.run(name, ['sh', '-ec', script]);
    assert.equal(code, 0, `${name}$ ${script}: ${stderr}`);
    return stdout;
  }
  /** Whether a process of the group hears hello. */
  async hears(from: string, to: string, group = 0, port = PORT): Promise<boolean> {
    return (await this.run(from, ['setpriv', `--regid=${group}`, '--clear-groups', 'timeout', '2', 'busybox', 'nc', to, String(port)])).stdout === 'hello\n';
  }
  async traces(): Promise<string> {
    const script = 'nft list tables; tc qdisc show; ip rule show; pgrep -af "[f]ault-helper" || :; ls -d /run/kubreak/fault-* 2>/dev/null || :';
    return (await Promise.all(HOSTS.map(async ({ name }) => `${name}\n${await this.ok(name, script)}`))).join('\n');
  }
  /** With `steps`, it dies before the step after these. */
  access(steps = Infinity): ClusterAccess {
    let left = steps;
    const step = (): void => {
      if (left === 0) throw new Killed();
      left -= 1;
    };
    return {
      mode: 'local', hosts: HOSTS,
      isUp: () => Promise.resolve(true),
      inNetworkOf: async (host: string, words: readonly string[], { input = '' } = {}) => {
        step();
        return this.run(host, words, input);
      },
      onHost: async (host: string, words: readonly string[]) => {
        step();
        return this.run(host, words.map((word) => word.replaceAll('/opt/kubreak/dist/fault-helper.js', this.#helper)));
      },
    } as unknown as ClusterAccess;
  }
}

const words = (text: string): FaultWords => {
  const args: string[] = [];
  const options: Record<string, string | boolean> = {};
  const typed = text.split(' ').filter((word) => word !== '');
  for (let word = typed.shift(); word !== undefined; word = typed.shift()) {
    if (!word.startsWith('--')) args.push(word);
    else options[word.slice(2)] = typed[0] === undefined || typed[0].startsWith('--') ? true : typed.shift() ?? true;
  }
  return { args, options };
};
const groupOf = (name: string): number => COMPONENTS.find((component) => component.name === name)?.group ?? 0;

describe('faults of the network, on hosts', { timeout: 240_000, skip: process.getuid?.() !== 0 && 'needs root' }, () => {
  const hosts = new Hosts();
  let count = 0;

  const during = async <P>(kind: FaultKind<P>, text: string, work: () => Promise<void>): Promise<void> => {
    const cluster = hosts.access();
    count += 1;
    const plan = JSON.parse(JSON.stringify(await kind.plan(cluster, words(text), `f${String(count).padStart(3, '0')}`))) as P;
    await kind.apply(cluster, plan);
    try {
      assert.equal(await kind.isInForce(cluster, plan), true);
      await work();
    } finally {
      await kind.undo(cluster, plan);
    }
    assert.equal(await kind.isInForce(cluster, plan), false);
  };

  before(() => hosts.up());
  after(() => hosts.down());

  test('hosts that are cut off do not hear each other and hear the rest', async () => {
    const clean = await hosts.traces();
    assert.equal(await hosts.hears('w1-k8s', W2), true);
    await during(partitionFault, 'w1-k8s w2-k8s', async () => {
      assert.deepEqual(await Promise.all([hosts.hears('w1-k8s', W2), hosts.hears('w2-k8s', W1), hosts.hears('w1-k8s', MASTER), hosts.hears('m-k8s', W2)]), [false, false, true, true]);
    });
    assert.equal(await hosts.hears('w1-k8s', W2), true);
    assert.equal(await hosts.traces(), clean);
  });

  test('one way, what the first sends does not arrive and what the second sends does', async () => {
    await during(partitionFault, 'w1-k8s w2-k8s,m-k8s --one-way', async () => {
      const receive = 'socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(5000, INADDR_ANY)); recv(S, $heard, 99, 0); print $heard';
      const listen = (name: string, seconds: number) => hosts.run(name, ['timeout', String(seconds), 'perl', '-MSocket', '-e', receive]);
      const speak = (name: string, to: string) => hosts.start(name, ['timeout', '20', 'bash', '-c', `while :; do echo heard >/dev/udp/${to}/5000; sleep 0.1; done 2>/dev/null`]);
      const speakers = [speak('w2-k8s', W1), speak('w1-k8s', W2)];
      const [first, second] = await Promise.all([listen('w1-k8s', 15), listen('w2-k8s', 3)]);
      for (const speaker of speakers) speaker.kill('SIGKILL');
      assert.equal(first.stdout, 'heard\n');
      assert.equal(second.stdout, '');
    });
  });

  test('a host that is isolated hears only itself', async () => {
    await during(isolateFault, 'w1-k8s', async () => {
      assert.deepEqual(await Promise.all([hosts.hears('w1-k8s', MASTER), hosts.hears('m-k8s', W1), hosts.hears('w1-k8s', W1), hosts.hears('m-k8s', W2)]), [false, false, true, true]);
      assert.equal((await hosts.run('w1-k8s', ['busybox', 'ping', '-c', '1', '-W', '1', GATEWAY])).code, 1);
    });
  });

  test('of two components on one host only the connections between them are cut', async () => {
    await during(partitionFault, 'scheduler apiserver', async () => {
      assert.deepEqual(await Promise.all(['scheduler', 'controller-manager', 'kubelet'].map((name) => hosts.hears('m-k8s', MASTER, groupOf(name)))), [false, true, true]);
      assert.equal(await hosts.hears('m-k8s', '127.0.0.1', groupOf('scheduler')), false);
    });
    assert.equal(await hosts.hears('m-k8s', MASTER, groupOf('scheduler')), true);
  });

  test('of two components on two hosts, too, and only on those that were named', async () => {
    await during(partitionFault, 'kube-proxy@w1-k8s apiserver --one-way', async () => {
      assert.deepEqual(await Promise.all([hosts.hears('w1-k8s', MASTER, groupOf('kube-proxy')), hosts.hears('w1-k8s', MASTER), hosts.hears('w2-k8s', MASTER, groupOf('kube-proxy'))]), [false, true, true]);
    });
  });

  test('connections that are there already hang, and go on when it is over', async () => {
    const client = hosts.start('w1-k8s', ['setpriv', `--regid=${groupOf('kube-proxy')}`, '--clear-groups', 'bash', '-c',
      `exec 3<>/dev/tcp/${MASTER}/${PORT}; for i in 1 2; do read -r -t 2 line <&3 || line=hangs; echo "$line"; [ $i = 2 ] || { read -r; echo x >&3; }; done; read -r; read -r -t 20 line <&3; echo "$line"`]);
    const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<unknown> => (await lines.next()).value;
    assert.equal(await next(), 'hello');
    await during(partitionFault, 'kube-proxy apiserver', async () => {
      client.stdin.write('\n');
      assert.equal(await next(), 'hangs');
    });
    client.stdin.end('\n');
    assert.equal(await next(), 'again x');
  });

  test('so much is lost as was asked for', async () => {
    const received = async (): Promise<number> => Number(/(\d+) packets received/.exec((await hosts.run('w1-k8s', ['busybox', 'ping', '-c', '100', '-i', '0.01', '-W', '1', W2])).stdout)?.[1]);
    await during(netemFault, 'w1-k8s w2-k8s --loss 30%', async () => {
      const answers = await received(); // 49 are expected
      assert.ok(answers > 25 && answers < 75, `${answers} of 100`);
    });
    assert.equal(await received(), 100);
  });

  test('what is slow takes so much longer, each way, and only between the two', async () => {
    const milliseconds = async (from: string): Promise<number> => {
      const startedMs = performance.now();
      assert.equal(await hosts.hears(from, MASTER), true);
      return performance.now() - startedMs;
    };
    await during(netemFault, 'w1-k8s m-k8s --delay 300ms', async () => {
      const [slow, quick] = [await milliseconds('w1-k8s'), await milliseconds('w2-k8s')];
      assert.ok(slow > 300 && slow > quick, `${slow} ms, ${quick} ms`);
    });
  });

  test('the name service lies to whoever asks', async () => {
    for (const mode of ['servfail', 'nxdomain']) {
      await during(dnsFault, `--break --mode ${mode}`, async () => {
        const { stdout, stderr } = await hosts.run('w1-k8s', ['timeout', '5', 'busybox', 'nslookup', 'kubernetes.default.svc.cluster.local', CLUSTER_DNS]);
        assert.match(stdout + stderr, new RegExp(mode, 'i'));
      });
    }
  });

  for (const [kind, text] of [
    [partitionFault, 'w1-k8s w2-k8s,m-k8s'], [partitionFault, 'kube-proxy apiserver'], [isolateFault, 'w1-k8s'], [netemFault, 'w1-k8s m-k8s --delay 50ms --loss 5% --rate 8mbit'], [dnsFault, '--break'], [dnsFault, '--break --mode nxdomain'],
  ] as readonly (readonly [FaultKind<unknown>, string])[]) {
    test(`${kind.name} ${text}: at whatever step who makes it dies, undo leaves nothing`, async () => {
      const clean = await hosts.traces();
      const plan = await kind.plan(hosts.access(), words(text), 'f900');
      for (let steps = 0; ; steps += 1) {
        const isWhole = await kind.apply(hosts.access(steps), plan).then(() => true, (error: unknown) => {
          if (!(error instanceof Killed)) throw error;
          return false;
        });
        await kind.undo(hosts.access(), plan);
        assert.equal(await hosts.traces(), clean, `after ${steps} steps`);
        await kind.undo(hosts.access(), plan); // nothing to undo is no error
        if (isWhole) break;
      }
    });
  }
});
