// The cluster in containers (`docker compose up -d` has been given), broken by Docker's own commands.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { scratchFolder } from '#lib/testing/scratch-folder.ts';
import { inPodByKubectl, type BreakableCluster } from '../../cli/chaos/breakable.ts';
import { HOSTS } from '../../cli/cluster-layout.ts';
import { runCommand } from '../e2e/cluster.ts';

const hosts = HOSTS.map(({ name }) => name);
const processes = ['etcd', 'apiserver', 'controller-manager', 'scheduler', ...hosts];
const docker = (...args: string[]) => runCommand('docker', args);

/** Throws when no such cluster runs here. */
export async function breakableComposeCluster(): Promise<BreakableCluster> {
  const read = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await docker(...args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr.trim()}; start the cluster with: docker compose up -d`);
    return stdout;
  };
  const config = await read('exec', 'm-k8s', 'cat', '/etc/kubernetes/admin.conf');
  const published = (await read('port', 'm-k8s', '6443/tcp')).trim().split('\n')[0] ?? '';
  const networks = JSON.parse(await read('inspect', '--format', '{{json .NetworkSettings.Networks}}', ...hosts.slice(0, 1))) as Record<string, unknown>;
  const network = Object.keys(networks)[0] ?? '';
  const addresses = new Map(await Promise.all(hosts.map(async (host): Promise<[string, string]> =>
    [host, (await read('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', host)).trim()])));
  const kubeconfig = join(scratchFolder('kubreak-chaos'), 'admin.conf');
  writeFileSync(kubeconfig, config.replace(/server: .*/, `server: https://${published}`), { mode: 0o600 });
  return {
    kubeconfig,
    hosts: HOSTS,
    targets: { processes, hosts, faults: ['kill', 'stop', 'pause', 'reboot', 'unplug'] },
    damage({ fault, target }) {
      switch (fault) {
        case 'kill': case 'stop': case 'pause': return docker(fault, target);
        case 'reboot': return docker('restart', '--time', '0', target);
        case 'unplug': return docker('network', 'disconnect', network, target);
        case 'power-cut': case 'down': throw new Error(`${fault} is not a fault of containers`);
      }
    },
    mend({ fault, target }) {
      switch (fault) {
        case 'kill': case 'stop': case 'reboot': return docker('start', target);
        case 'pause': return docker('unpause', target);
        case 'unplug': return docker('network', 'connect', '--ip', addresses.get(target) ?? '', network, target);
        case 'power-cut': case 'down': throw new Error(`${fault} is not a fault of containers`);
      }
    },
    async lacking() {
      const { stdout } = await docker('ps', '--format', '{{.Names}} {{.Status}}');
      const isUp = (name: string): boolean => stdout.split('\n').some((line) => line.startsWith(`${name} Up`) && !line.includes('(Paused)'));
      return processes.filter((name) => !isUp(name)).map((name) => `${name} is not up`).join(', ');
    },
    on: (host, ...command) => docker('exec', host, ...command),
    // The machine has the network's gateway.
    outside: (program = '', ...words) => runCommand(program, words),
    inPod: inPodByKubectl(kubeconfig),
    everywhere: (...command) => Promise.all(processes.map((container) => docker('exec', container, ...command))),
  };
}
