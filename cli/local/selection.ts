// COMPONENT or COMPONENT@HOST, as people write it.
import { COMPONENTS, type HostLayout } from '../cluster-layout.ts';
import { hostNamed } from '../host-named.ts';
import { UserError } from '../user-error.ts';
import type { Instance } from './instances.ts';

/** Throws UserError (exit code 2) for a name that does not exist, (1) for a component that never runs on that host. */
export function selectInstances(instances: readonly Instance[], selector: string, hosts: readonly HostLayout[]): readonly Instance[] {
  const [name = '', host, ...more] = selector.split('@');
  if (more.length > 0) throw new UserError(`"${selector}" is not COMPONENT or COMPONENT@HOST`, 2);
  const component = COMPONENTS.find((candidate) => candidate.name === name || candidate.processTitle === name);
  if (!component) throw new UserError(`no component is called "${name}"; there are ${COMPONENTS.map((candidate) => candidate.name).join(', ')}`, 2);
  if (host !== undefined) hostNamed(host, hosts);
  const chosen = instances.filter((instance) => instance.component === component && (host === undefined || instance.host === host));
  if (chosen.length === 0) throw new UserError(`${name} does not run on ${host ?? 'any host'}`);
  return chosen;
}
