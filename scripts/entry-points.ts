// What is built: the name of each program and the file that it starts with.
import { existsSync, readdirSync } from 'node:fs';

/** Folder in services/ => name of the program, where upstream calls it otherwise. */
const PROGRAM_NAMES: Readonly<Record<string, string>> = {
  apiserver: 'kube-apiserver',
  'controller-manager': 'kube-controller-manager',
  scheduler: 'kube-scheduler',
  'container-runtime': 'containerd',
};

/** `root` is the project's folder, with a slash at its end. */
export function entryPointsOf(root: string): Readonly<Record<string, string>> {
  const services = readdirSync(`${root}services`).map((service) => [PROGRAM_NAMES[service] ?? service, `${root}services/${service}/main.ts`] as const);
  return {
    ...Object.fromEntries(services.filter(([, main]) => existsSync(main))),
    'hostctl': `${root}services/node/hostctl.ts`,
    'cni': `${root}services/calico-node/cni.ts`,
    'image-registry': `${root}services/container-runtime/image-registry.ts`,
    'ctr': `${root}services/container-runtime/ctr.ts`,
    'stand-in-server': `${root}images/servers/main.ts`,
    'kubreak': `${root}cli/main.ts`,
    'lab': `${root}cli/local/lab/main.ts`,
    'compose-host': `${root}cli/compose/host/main.ts`,
    'master-tool': `${root}cli/master-tool/main.ts`,
    'fault-helper': `${root}cli/faults/helper/main.ts`,
    'compose-agent': `${root}cli/compose/agent/main.ts`,
  };
}
