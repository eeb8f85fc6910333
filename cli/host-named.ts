// A host by the name that people type.
import type { HostLayout } from './cluster-layout.ts';
import { UserError } from './user-error.ts';

/** Throws UserError (exit code 2) when there is none of that name. */
export function hostNamed(name: string, hosts: readonly HostLayout[]): HostLayout {
  const host = hosts.find((candidate) => candidate.name === name);
  if (!host) throw new UserError(`no host is called "${name}"; there are ${hosts.map((candidate) => candidate.name).join(', ')}`, 2);
  return host;
}
