// Exec, attach and port-forward with real kubectl, of every version on this machine: 1.27 to 1.29 speak SPDY, later ones
// WebSocket. In place of apiserver and kubelet stands a tunnel of raw bytes (../testing/api-stand-in.ts). Needs root.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { canRun, eventually, Playground } from '../testing/playground.ts';

const STAND_IN = new URL('../testing/api-stand-in.ts', import.meta.url).pathname;
const API = 'http://127.0.0.1:8001';
const kubectls = ['/usr/bin/kubectl', ...['1.27', '1.30', '1.33'].map((version) => `/usr/lib/google-cloud-sdk/bin/kubectl.${version}`)].filter((path) => existsSync(path));

/** A kubectl that gets no processor for a moment says so of the empty message by which a server tells that it is there, as upstream's does. */
const EARLY_MESSAGE = /^E\d{4} .* websocket\.go:\d+\] Unknown stream id 1, discarding message\n/gm;

describe('streaming', { skip: (!canRun || kubectls.length === 0) && 'needs root, nginx and kubectl', timeout: 180_000 }, () => {
  const host = new Playground();
  /** Runs a shell script on the host in which $KUBECTL reaches the pods. */
  const shell = async (kubectl: string, script: string): Promise<string> =>
    (await host.run('env', `HOME=${host.folder}`, `KUBECTL=timeout --foreground 20 ${kubectl} -s ${API}`, 'sh', '-c', script)).replace(EARLY_MESSAGE, '');

  before(async () => {
    await host.boot();
    host.writeNetworkConfig();
    const web = await host.runSandbox('web');
    await host.runContainer(web.id, 'nginx');
    const cat = await host.runSandbox('cat');
    await host.runContainer(cat.id, 'busybox', { command: ['sh', '-c', 'while read line; do echo "got $line"; done; echo end'], stdin: true, stdinOnce: true });
    host.run(process.execPath, '--import', import.meta.resolve('tsx'), STAND_IN, host.socket, '8001').catch(() => undefined);
    await eventually('the stand-in for the API server', () => host.run('curl', '-sf', `${API}/api`).catch(() => undefined));
  });
  after(() => host.destroy());

  for (const kubectl of kubectls) {
    const name = kubectl.split('/').at(-1);

    test(`${name}: exec gives output, errors and the exit code`, async () => {
      assert.equal(await shell(kubectl, "$KUBECTL exec web -- sh -c 'echo out; echo err >&2; exit 3' 2>err; echo rc=$?; cat err; rm err"),
        'out\nrc=3\nerr\ncommand terminated with exit code 3\n');
    });

    test(`${name}: exec passes standard input to its end, however much it is`, async () => {
      writeFileSync(join(host.folder, 'input'), Buffer.alloc(3_000_000, 'kubreak\n'));
      assert.equal(await shell(kubectl, '$KUBECTL exec -i web -- cat <$HOME/input | cmp - $HOME/input; echo rc=$?'), 'rc=0\n');
    });

    test(`${name}: exec with a terminal is a shell with job control and the size of the client's`, async () => {
      const text = await shell(kubectl, `(sleep 0.7; echo 'stty size; set -o | grep monitor; exit 5'; sleep 1) | script -qec 'stty rows 33 cols 99; $KUBECTL exec -it web -- bash' /dev/null; echo rc=$?`);
      assert.match(text, /^33 99\r$/m);
      assert.match(text, /^monitor\s+on\r$/m);
      assert.match(text, /rc=5/);
    });

    test(`${name}: a program that is not there is reported with the reason`, async () => {
      assert.match(await shell(kubectl, '$KUBECTL exec web -- nosuch 2>&1; true'), /^error: Internal error occurred: error executing command in container: .*exec: "nosuch": executable file not found in \$PATH/);
    });

    test(`${name}: port-forward serves several connections`, async () => {
      const text = await shell(kubectl, `$KUBECTL port-forward pod/web 9090:80 >/dev/null 2>&1 & pf=$!
        for try in $(seq 100); do curl -sf http://127.0.0.1:9090/ >/dev/null && break; sleep 0.05; done
        for n in 1 2 3; do curl -s http://127.0.0.1:9090/ | grep -c '<h1>Welcome to nginx!' & done; wait %2 %3 %4; kill $pf`);
      assert.equal(text, '1\n1\n1\n');
    });

    test(`${name}: a connection to a port where nobody listens ends`, async () => {
      const text = await shell(kubectl, `$KUBECTL port-forward pod/web 9091:81 9092:80 >/dev/null 2>&1 & pf=$!
        for try in $(seq 100); do curl -sf http://127.0.0.1:9092/ >/dev/null && break; sleep 0.05; done
        curl -s -m 5 http://127.0.0.1:9091/; echo $?; kill $pf 2>/dev/null || : # kubectl of 1.31 and later has ended by itself`);
      assert.match(text, /^5[26]\n$/, 'an empty reply or a reset, but no time-out');
    });

    test(`${name}: attach to a terminal reaches the container's own shell`, async () => {
      const { id } = await host.runSandbox(`tty-${name}`);
      const container = await host.runContainer(id, 'busybox', { command: ['bash'], stdin: true, tty: true });
      // At the end of its input script(1) types Ctrl-D, which ends the shell in the container. kubectl first sends a size
      // that is off by one, so that the program draws anew, and then the real one: that may come a moment later.
      const text = await shell(kubectl, `(sleep 0.7; echo 'echo pid $$; for i in $(seq 50); do [ "$(stty size)" = "21 77" ] && break; sleep 0.1; done; stty size'; sleep 1) | script -qec 'stty rows 21 cols 77; $KUBECTL attach -it tty-${name}' /dev/null; true`);
      assert.match(text, /pid 1\r/);
      assert.match(text, /21 77\r/);
      assert.equal((await host.exited(container)).exitCode, 0);
    });
  }

  test('a container that reads its input once sees the end of it when the client leaves', async () => {
    mkdirSync(join(host.folder, '.kube'), { recursive: true });
    const text = await shell(kubectls[0] ?? '', `printf 'one\\ntwo\\n' | $KUBECTL attach -i cat 2>/dev/null; true`);
    assert.match(text, /got one\ngot two\nend\n/);
  });

  test('a URL is good for one connection, and an unknown one is refused', async () => {
    const { containers } = await host.connection.runtime.listContainers({});
    const { url } = await host.connection.runtime.exec({ containerId: containers[0]?.id ?? '', cmd: ['true'], stdout: true });
    const upgrade = (target: string): Promise<string> => host.run('sh', '-c',
      `curl -si --max-time 1 -X POST -H 'Connection: Upgrade' -H 'Upgrade: SPDY/3.1' -H 'X-Stream-Protocol-Version: v4.channel.k8s.io' ${target} | head -1; true`);
    assert.match(await upgrade(url), /^HTTP\/1\.1 101 Switching Protocols/);
    assert.match(await upgrade(url), /^HTTP\/1\.1 404 Not Found/);
    assert.match(await upgrade(url.replace(/[^/]+$/, 'guessed')), /^HTTP\/1\.1 404 Not Found/);
    assert.match(await host.run('curl', '-s', url), /unable to upgrade/);
  });
});
