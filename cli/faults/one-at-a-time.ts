// For faults that set a thing of a host to a value: a second one on top could not be undone in any order.
import type { ClusterAccess } from '../access/cluster-access.ts';
import { hostNamed } from '../host-named.ts';
import { UserError } from '../user-error.ts';
import { FaultStore } from './fault-store.ts';

/** Throws UserError when a fault of this kind whose plan is about the same is there. */
export function requireNoOther<P>(cluster: ClusterAccess, kind: string, isSame: (plan: P) => boolean): void {
  const other = new FaultStore(cluster).list().find((record) => record.kind === kind && isSame(record.plan as P));
  if (other) throw new UserError(`that is broken already: ${other.text}; first: kubreak heal ${other.id}`);
}

/** Throws UserError (exit code 2). */
export function requireHost(cluster: ClusterAccess, host: string): void {
  hostNamed(host, cluster.hosts);
}

/** A worker that was removed has taken its faults with it. */
export const hasHost = ({ hosts }: ClusterAccess, host: string): boolean => hosts.some(({ name }) => name === host);
