// PID 1 of a control plane container: `compose-agent COMPONENT`.
import { readFileSync } from 'node:fs';
import { clockEnvironment } from '#lib/service/shifted-clock.ts';
import { groupOf } from '../../cluster-layout.ts';
import { StaticPodAgent } from './agent.ts';

/** On the volume that m-k8s and the containers of its control plane share. */
const SHARED_FOLDER = '/var/lib/kubreak/control-plane';
/** The wrappers under which the cluster's own images know the programs. */
const PROGRAMS = '/opt/kubreak/dist/images/layers/cluster/usr/local/bin';

const component = process.argv[2] ?? '';
process.title = 'kubreak-agent';
const agent = new StaticPodAgent({
  component, folder: SHARED_FOLDER, manifest: `/etc/kubernetes/manifests/${component}.yaml`,
  group: groupOf(component), environment: { PATH: `${PROGRAMS}:${process.env['PATH'] ?? ''}`, HOME: '/root', LANG: 'C.UTF-8', ...clockEnvironment(`${SHARED_FOLDER}/clock`) },
  readManifest: async () => (await import('yaml')).parse(readFileSync(`/etc/kubernetes/manifests/${component}.yaml`, 'utf8')) as unknown,
  print: (text) => void process.stdout.write(text),
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => agent.stop());
void agent.run().then((exitCode) => process.exit(exitCode));
