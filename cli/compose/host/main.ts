// Run by entrypoint.sh on a host: `compose-host install HOST` before its first boot, `compose-host runtime HOST NAME` when another
// container runtime is to run, `compose-host initialize` on the master beside its first boot; `tools` when the image is built; `kubeconfig` by people; the rest by `kubreak --compose`.
import { readFileSync, writeFileSync } from 'node:fs';
import { BUNDLE_FOLDER, hostToolFiles } from '../../host-files.ts';
import { initializeCluster } from './initialize.ts';
import { chooseContainerRuntime, installHost } from './install.ts';
import { hostsOf } from './layout.ts';
import { keepDown, letUp, replacePods, reportContainer, signalComponent } from './processes.ts';

const [verb, name = ''] = process.argv.slice(2);
const { hosts, gateway } = hostsOf(process.env['K8S_SUBNET'] ?? '', process.env['COMPOSE_PROFILES'] ?? '');
const isFast = (process.env['K8S_FAST_FAILURE_DETECTION'] ?? '') !== '';
switch (verb) {
  case 'install':
    void installHost({ name, hosts, gateway, isFast });
    break;
  case 'runtime':
    chooseContainerRuntime({ name, hosts, gateway, isFast }, process.argv[4] ?? '');
    break;
  case 'initialize':
    void initializeCluster(hosts, isFast).then(() => writeFileSync('/etc/kubreak/initialized', ''));
    break;
  case 'tools':
    for (const { path, text, mode } of [...hostToolFiles(), { path: '/usr/local/sbin/kubeconfig', text: `#!/bin/sh\nexec node ${BUNDLE_FOLDER}/dist/compose-host.js kubeconfig\n`, mode: 0o755 }]) {
      writeFileSync(path, text, { mode });
    }
    break;
  case 'processes':
    void reportContainer(hosts).then((reports) => process.stdout.write(JSON.stringify(reports)));
    break;
  case 'signal':
    process.stdout.write(JSON.stringify(signalComponent(name, process.argv[4] as NodeJS.Signals, hosts)));
    break;
  case 'stop':
    keepDown(name, hosts);
    break;
  case 'start':
    letUp(name);
    break;
  case 'replace':
    void replacePods(name, process.argv[4] ?? '');
    break;
  case 'balance':
    void import('./balance.ts').then(({ balance }) => balance(hosts));
    break;
  case 'kubeconfig':
    // For the machine itself, where Docker publishes the port of the API server, or of the balancer in front of several.
    process.stdout.write(readFileSync('/etc/kubernetes/admin.conf', 'utf8').replace(/server: .*/, `server: https://127.0.0.1:${(hosts.length > hostsOf('').hosts.length ? process.env['K8S_HA_PORT'] : process.env['K8S_PORT']) ?? '6443'}`));
    break;
  default:
    process.stdout.write('usage: compose-host install HOST | initialize | kubeconfig | tools | processes | signal COMPONENT SIGNAL | stop|start COMPONENT | replace COMPONENT HOST\n');
    process.exitCode = verb === '--help' ? 0 : 2;
}
