// Faults of the network: what gets through and what does not, and that nothing of them stays, however their command ended.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { KUBREAK, TestCluster, until } from './cluster.ts';

const HOSTS = ['m-k8s', 'w1-k8s', 'w2-k8s'];
const ADDRESSES = { 'm-k8s': '192.168.1.10', 'w1-k8s': '192.168.1.101', 'w2-k8s': '192.168.1.102' } as const;
type Host = keyof typeof ADDRESSES;
const GATEWAY = '192.168.1.1';
const REQUESTS = 5;

interface Fault {
  readonly id: string;
  readonly text: string;
  readonly state: string;
}

const pod = (name: string, node: string, image: string, command = ''): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}}
spec:
  nodeName: ${node}
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: ${image}${command === '' ? '' : `, command: ${command}`}}]
`;

describe('faults of the network', { timeout: 300_000 }, () => {
  let cluster: TestCluster;
  let webAddress: string;

  const ok = async (...words: string[]): Promise<string> => {
    const { code, stdout, stderr } = await cluster.kubreak(words);
    assert.equal(code, 0, `kubreak ${words.join(' ')}: ${stderr}`);
    return stdout;
  };
  const faults = async (): Promise<Fault[]> => (JSON.parse(await ok('faults', '-o', 'json')) as { faults: Fault[] }).faults;
  /** Runs `work` while the fault is in force, and heals it. */
  const during = async (words: readonly string[], work: () => Promise<void>): Promise<void> => {
    const id = /^(f\d+) /.exec(await ok(...words))?.[1] ?? '';
    try {
      assert.deepEqual((await faults()).map(({ state, text }) => ({ state, text })), [{ state: 'in force', text: words.join(' ') }]);
      await work();
    } finally {
      assert.match(await ok('heal', id), new RegExp(`^${id} healed`));
    }
    assert.deepEqual(await faults(), []);
  };
  const connects = async (from: Host, to: string, port = 10250): Promise<boolean> =>
    (await cluster.on(from, 'curl', '-sk', '-m', '1', '-o', '/dev/null', `https://${to}:${port}/healthz`)).code === 0;
  /** How many of the client pod's requests the web pod on the other worker answered. */
  const answered = async (): Promise<number> => {
    const script = `n=0; for i in $(seq ${REQUESTS}); do timeout 1 wget -q -O /dev/null http://${webAddress}/ && n=$((n+1)); done; echo $n`;
    return Number(await cluster.kubectlOk('exec', 'client', '--', 'sh', '-c', script));
  };
  /** Tables, queues, rules and helpers, on all hosts. Those of pods come and go. */
  const traces = async (): Promise<string> => {
    const script = 'nft list tables; tc qdisc show | grep -v cali; ip rule show; pgrep -af "[f]ault-helper"; ls -d /run/kubreak/fault-* 2>/dev/null';
    return (await Promise.all(HOSTS.map(async (host) => `${host}\n${(await cluster.on(host, 'sh', '-c', script)).stdout}`))).join('\n');
  };

  before(async () => {
    cluster = await TestCluster.start('self', ['--workers', '2', '--fast-failure-detection']);
    const file = cluster.writeFile('pods.yaml', [pod('web', 'w1-k8s', 'nginx'), pod('client', 'w2-k8s', 'busybox', '[sleep, "100000"]')].join('---\n'));
    await cluster.kubectlOk('apply', '-f', file);
    await cluster.kubectlOk('wait', '--for=condition=Ready', 'pod/web', 'pod/client', '--timeout=60s');
    webAddress = (await cluster.kubectlOk('get', 'pod', 'web', '-o', 'jsonpath={.status.podIP}')).trim();
  });
  after(async () => {
    await cluster.kubreak(['partition', 'w1-k8s', 'w2-k8s', '--for', '10m']);
    await cluster.down(); // looks for processes that were left behind, such as the one that would undo this
  });

  test('hosts that are cut off reach each other neither themselves nor by their pods, and reach the rest', async () => {
    await until('routes between the workers', async () => (await answered()) === REQUESTS);
    await during(['partition', 'w1-k8s', 'w2-k8s'], async () => {
      assert.deepEqual(await Promise.all([answered(), connects('w1-k8s', ADDRESSES['w2-k8s']), connects('w2-k8s', ADDRESSES['w1-k8s'])]), [0, false, false]);
      assert.deepEqual(await Promise.all([connects('w1-k8s', ADDRESSES['m-k8s']), connects('m-k8s', ADDRESSES['w2-k8s'])]), [true, true]);
    });
    assert.equal(await answered(), REQUESTS);
  });

  test('one way, only what the first sends does not arrive', async () => {
    const hears = async (listener: Host, speaker: Host): Promise<boolean> => {
      const receive = 'socket(S, PF_INET, SOCK_DGRAM, 0); bind(S, sockaddr_in(5000, INADDR_ANY)); recv(S, $heard, 99, 0); print $heard';
      const listening = cluster.on(listener, 'timeout', '4', 'perl', '-MSocket', '-e', receive);
      const speaking = cluster.on(speaker, 'timeout', '4', 'bash', '-c', `while :; do echo heard >/dev/udp/${ADDRESSES[listener]}/5000; sleep 0.1; done 2>/dev/null`);
      const [{ stdout }] = await Promise.all([listening, speaking]);
      return stdout.includes('heard');
    };
    await during(['partition', 'w1-k8s', 'w2-k8s', '--one-way'], async () => {
      assert.deepEqual(await Promise.all([hears('w1-k8s', 'w2-k8s'), hears('w2-k8s', 'w1-k8s')]), [true, false]);
    });
  });

  test('a host that is isolated reaches nobody and nobody it', async () => {
    await during(['isolate', 'w1-k8s'], async () => {
      assert.deepEqual(await Promise.all([connects('w1-k8s', ADDRESSES['m-k8s'], 6443), connects('m-k8s', ADDRESSES['w1-k8s']), connects('w1-k8s', '127.0.0.1'), connects('m-k8s', ADDRESSES['w2-k8s'])]), [false, false, true, true]);
      assert.equal((await cluster.on('w1-k8s', 'busybox', 'ping', '-c', '1', '-W', '1', GATEWAY)).code, 1);
    });
  });

  test('between components only their own connections are cut, also those of a process that is started meanwhile', async () => {
    const bound = async (): Promise<boolean> => (await cluster.kubectlOk('get', 'pod', 'unscheduled', '-o', 'jsonpath={.spec.nodeName}')) !== '';
    await during(['partition', 'scheduler', 'apiserver'], async () => {
      await ok('kill', 'scheduler');
      await cluster.kubectlOk('run', 'unscheduled', '--image=nginx', '--restart=Never');
      assert.equal(await connects('m-k8s', ADDRESSES['m-k8s'], 6443), true); // others on the same host
      await until('a scheduler that was started meanwhile', async () => /^scheduler +m-k8s +\d+/m.test(await ok('status')));
      assert.equal(await bound(), false);
    });
    await until('the pod being bound', bound);
  });

  test('a fault ends by itself after --for', async () => {
    await ok('partition', 'w1-k8s', 'w2-k8s', '--for', '1s');
    await until('its end', async () => (await faults()).length === 0);
    assert.equal(await connects('w1-k8s', ADDRESSES['w2-k8s']), true);
  });

  test('a kubelet that is cut off from the API server is not reached by it, the others are', async () => {
    const reached = async (node: string): Promise<boolean> => (await cluster.kubectl(['get', '--raw', `/api/v1/nodes/${node}/proxy/healthz`, '--request-timeout=2s'])).code === 0;
    await during(['partition', 'apiserver', 'kubelet@w1-k8s', '--one-way'], async () => {
      assert.deepEqual(await Promise.all([reached('w1-k8s'), reached('w2-k8s')]), [false, true]);
    });
    assert.equal(await reached('w1-k8s'), true);
  });

  test('loss and delay are those that were asked for; what the kernel cannot do is refused', async () => {
    const received = async (): Promise<number> => Number(/(\d+) packets received/.exec((await cluster.on('w1-k8s', 'busybox', 'ping', '-c', '100', '-i', '0.01', '-W', '1', ADDRESSES['w2-k8s'])).stdout)?.[1]);
    await during(['netem', 'w1-k8s', 'w2-k8s', '--loss', '30%'], async () => {
      const count = await received(); // 49 are expected
      assert.ok(count > 20 && count < 80, `${count} of 100`);
    });
    assert.equal(await received(), 100);
    const seconds = async (): Promise<number> => Number((await cluster.on('w1-k8s', 'curl', '-sk', '-o', '/dev/null', '-w', '%{time_total}', `https://${ADDRESSES['m-k8s']}:6443/healthz`)).stdout);
    await during(['netem', 'w1-k8s', 'm-k8s', '--delay', '150ms'], async () => {
      assert.ok((await seconds()) > 0.6, 'TLS and the request are at least two ways there and back');
    });
    await until('connections without delay', async () => (await seconds()) < 0.5);
    const { code, stderr } = await cluster.kubreak(['netem', 'w1-k8s', '--duplicate', '5%']);
    if (code !== 0) assert.match(stderr, /--duplicate cannot be done on this machine: its kernel has no netem/);
    await ok('heal');
  });

  test('the name service is silent, or lies', async () => {
    const ask = async (): Promise<string> => {
      const { stdout, stderr } = await cluster.kubectl(['exec', 'client', '--', 'timeout', '2', 'nslookup', 'kubernetes.default.svc.cluster.local']);
      return stdout + stderr;
    };
    assert.match(await ask(), /10\.96\.0\.1/);
    await during(['dns', '--break'], async () => assert.doesNotMatch(await ask(), /10\.96\.0\.1$|SERVFAIL|NXDOMAIN/m));
    await during(['dns', '--break', '--mode', 'servfail'], async () => assert.match(await ask(), /SERVFAIL/));
    await during(['dns', '--break', '--mode', 'nxdomain'], async () => assert.match(await ask(), /NXDOMAIN/));
    assert.match(await ask(), /10\.96\.0\.1$/m);
  });

  test('what was killed half-way is undone by heal, and nothing is left', async () => {
    const clean = await traces();
    const commands = [['partition', 'w1-k8s', 'w2-k8s,m-k8s'], ['isolate', 'w2-k8s'], ['partition', 'scheduler,kubelet', 'apiserver'], ['netem', 'w1-k8s', '--delay', '50ms', '--loss', '5%', '--rate', '8mbit'], ['dns', '--break', '--mode', 'nxdomain']];
    for (const [index, words] of commands.entries()) {
      for (const afterMs of [120 + 60 * index, 300 + 120 * index]) {
        const child = spawn(process.execPath, [KUBREAK, '--dir', cluster.folder, ...words], { stdio: 'ignore' });
        const ended = new Promise((resolve) => child.once('exit', resolve));
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        child.kill('SIGKILL');
        await ended;
        await ok('heal', '--all');
        assert.deepEqual(await faults(), []);
        assert.equal(await traces(), clean, `${words.join(' ')}, killed after ${afterMs} ms`);
      }
    }
  });

  test('the next command undoes what is over its time when nobody else did', async () => {
    await ok('partition', 'w1-k8s', 'w2-k8s', '--for', '1s');
    const { stdout } = await cluster.kubreak(['faults', '-o', 'json']);
    const { id } = (JSON.parse(stdout) as { faults: [Fault] }).faults[0];
    const timers = await until('the timer of the fault', async () => {
      const child = spawn('pgrep', ['-f', `${cluster.folder} undo-later ${id}`], { stdio: ['ignore', 'pipe', 'ignore'] });
      let pids = '';
      child.stdout.on('data', (chunk: Buffer) => (pids += chunk.toString()));
      await new Promise((resolve) => child.once('close', resolve));
      return pids.trim() === '' ? undefined : pids.trim().split('\n').map(Number);
    });
    for (const pid of timers) process.kill(pid, 'SIGKILL');
    await until('its time being over', async () => (await cluster.kubreak(['status'])).stderr.includes(`${id} was over its time and is undone`));
    assert.equal(await connects('w1-k8s', ADDRESSES['w2-k8s']), true);
  });
});
