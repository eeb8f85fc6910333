// Of what runs, that which people mean.
import type { HostLayout } from '../cluster-layout.ts';
import { parseSelector } from '../selector.ts';
import { UserError } from '../user-error.ts';
import type { Instance } from './instances.ts';

/** Throws UserError (exit code 2) for a name that does not exist, (1) for a component that never runs on that host. */
export function selectInstances(instances: readonly Instance[], selector: string, hosts: readonly HostLayout[]): readonly Instance[] {
  const { component, host } = parseSelector({ hosts }, selector);
  const chosen = instances.filter((instance) => instance.component === component && (host === undefined || instance.host === host));
  if (chosen.length === 0) throw new UserError(`${component.name} does not run on ${host ?? 'any host'}`);
  return chosen;
}
