// The CNI programs of a node, called as `cni.js NAME` by the small files that calico-node puts into /opt/cni/bin: one call from a
// container runtime that knows nothing of Calico, such as the real containerd.
import { readFileSync } from 'node:fs';
import { errorText, parseCall, resultText, versionText } from './core/cni-call.ts';
import { calico, calicoIpam } from './edge/cni/calico.ts';
import { loopback } from './edge/cni/loopback.ts';
import { portmap } from './edge/cni/portmap.ts';
import type { CniProgram } from './edge/cni/program.ts';

const PROGRAMS: Readonly<Record<string, CniProgram>> = { calico, 'calico-ipam': calicoIpam, loopback, portmap };

async function answer(): Promise<string> {
  const program = PROGRAMS[process.argv[2] ?? ''];
  if (!program) throw new Error(`no CNI program is called "${process.argv[2] ?? ''}"; there are ${Object.keys(PROGRAMS).join(', ')}`);
  const call = parseCall(process.env, readFileSync(0, 'utf8'));
  cniVersion = call.config.cniVersion;
  switch (call.command) {
    case 'VERSION': return versionText();
    case 'ADD': return resultText(await program.add(call), cniVersion);
    case 'DEL': await program.del(call); return '';
    case 'CHECK': await program.check(call); return '';
  }
}

let cniVersion = '1.0.0';
answer().then((text) => process.stdout.write(text), (error: unknown) => {
  process.stdout.write(errorText(error, cniVersion));
  process.exitCode = 1;
});
