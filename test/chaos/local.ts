// A cluster of local mode, broken by the levers of kubreak.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inPodByKubectl, processesOf, type BreakableCluster } from '../../cli/chaos/breakable.ts';
import { HOSTS } from '../../cli/cluster-layout.ts';
import { runCommand, type Result, type TestCluster } from '../e2e/cluster.ts';

const hosts = HOSTS.map(({ name }) => name);

export function breakableLocalCluster(cluster: TestCluster): BreakableCluster {
  const up = (): Promise<Result> => cluster.kubreak(['up', '--detach', '--port', String(cluster.port)], { timeoutMs: 300_000 });
  const nothing: Promise<Result> = Promise.resolve({ code: 0, stdout: '', stderr: '' });
  return {
    kubeconfig: cluster.kubeconfig,
    hosts: HOSTS,
    targets: { processes: processesOf(HOSTS), hosts, faults: ['kill', 'stop', 'pause', 'reboot', 'unplug', 'power-cut', 'down'] },
    damage({ fault, target }) {
      switch (fault) {
        case 'kill': case 'stop': case 'pause': case 'reboot': return cluster.kubreak([fault, target]);
        case 'unplug': return cluster.on(target, 'ip', 'link', 'set', 'eth0', 'down');
        case 'down': return cluster.down(false).then(() => nothing);
        case 'power-cut': {
          const { supervisorPid } = JSON.parse(readFileSync(join(cluster.folder, 'running.json'), 'utf8')) as { supervisorPid: number };
          process.kill(supervisorPid, 'SIGKILL');
          return nothing;
        }
      }
    },
    mend({ fault, target }) {
      switch (fault) {
        case 'stop': return cluster.kubreak(['start', target]);
        case 'pause': return cluster.kubreak(['resume', target]);
        case 'unplug': return cluster.on(target, 'systemctl', 'restart', 'network');
        case 'down': case 'power-cut': return up().then((result) => (/already running/.test(result.stderr) ? nothing : result));
        case 'kill': case 'reboot': return nothing;
      }
    },
    async lacking() {
      const { code, stdout, stderr } = await cluster.kubreak(['status', '-o', 'json']);
      if (code !== 0) return stderr.trim();
      const { processes: reports } = JSON.parse(stdout) as { processes: { component: string; host: string; health: string }[] };
      return reports.filter(({ health }) => health !== 'healthy').map(({ component, host, health }) => `${component}@${host} ${health}`).join(', ');
    },
    on: (host, ...command) => cluster.on(host, ...command),
    // The outer namespace belongs to the lab; root may enter it, whoever owns the cluster.
    outside: (...command) => {
      const { labPid } = JSON.parse(readFileSync(join(cluster.folder, 'running.json'), 'utf8')) as { labPid: number };
      return runCommand('nsenter', ['-t', String(labPid), '-n', ...command]);
    },
    inPod: inPodByKubectl(cluster.kubeconfig),
    everywhere: (...command) => Promise.all(hosts.map((host) => cluster.on(host, ...command))),
  };
}
