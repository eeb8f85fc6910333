// Brings the objects of a fresh cluster into being, many at once, and puts back what a running one has lost.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import type { AnyKind, Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { apiServiceKind } from '#lib/kinds/apiregistration/api-service.ts';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { clusterRoleBindingKind } from '#lib/kinds/rbac/cluster-role-binding.ts';
import { clusterRoleKind } from '#lib/kinds/rbac/cluster-role.ts';
import { roleBindingKind } from '#lib/kinds/rbac/role-binding.ts';
import { roleKind } from '#lib/kinds/rbac/role.ts';
import { priorityClassKind } from '#lib/kinds/scheduling/priority-class.ts';
import type { APIService } from '#lib/kinds/types/apiregistration-v1.ts';
import type { ConfigMap } from '#lib/kinds/types/core-v1.ts';
import type { ClusterRoleBinding, RoleBinding } from '#lib/kinds/types/rbac-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { authenticationTrust, namespaceObject, SYSTEM_NAMESPACES, systemPriorityClasses, type TrustOptions } from '../../core/bootstrap/objects.ts';
import { bootstrapRbac, reconcileBinding, reconcileRole } from '../../core/bootstrap/rbac.ts';
import { asServer, ensure, type EnsureServices } from './ensure.ts';

/** Objects written at once: enough for storage to share its fsyncs. */
const WRITERS = 32;
const RETRY_MS = 1_000;
/** Source: systemnamespaces controller. */
const NAMESPACE_PERIOD_MS = 60_000;

export interface BootstrapOptions extends EnsureServices {
  readonly trust: TrustOptions;
  readonly registerLocalApiServices: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** A hook's name as its health check shows it, and whether it is done. */
export interface Hook {
  readonly name: string;
  isDone: boolean;
}

export const bootstrapHooks = () => ({
  namespaces: { name: 'start-system-namespaces-controller', isDone: false } as Hook,
  rbac: { name: 'rbac/bootstrap-roles', isDone: false } as Hook,
  priorityClasses: { name: 'scheduling/bootstrap-system-priority-classes', isDone: false } as Hook,
  trust: { name: 'start-cluster-authentication-info-controller', isDone: false } as Hook,
  apiServices: { name: 'kube-apiserver-autoregistration', isDone: false } as Hook,
});

async function inParallel(tasks: (() => Promise<void>)[]): Promise<void> {
  const queue = [...tasks];
  const worker = async (): Promise<void> => {
    for (let task = queue.shift(); task; task = queue.shift()) await task();
  };
  await Promise.all(Array.from({ length: WRITERS }, worker));
}

async function ensureBinding<T extends RoleBinding | ClusterRoleBinding>(services: EnsureServices, kind: Kind<T>, desired: T): Promise<void> {
  const { name, namespace = '' } = desired.metadata;
  const existing = services.objects.cached(kind, namespace, name);
  if (existing && reconcileBinding(existing as T, desired).recreate) {
    await services.store.delete(kind as unknown as AnyKind, namespace, name, {}, asServer);
    await services.store.create(kind as unknown as AnyKind, namespace, desired, asServer);
    return;
  }
  await ensure(services, kind, desired, (known) => reconcileBinding(known as T, desired).update);
}

/**
 * Everything that a fresh cluster begins with, in few writes; does nothing in a cluster that has been started before.
 * Whatever is missing afterwards, the hooks put in place one by one.
 */
export async function createFreshCluster({ store, objects, trust, apiServices, log }: Pick<BootstrapOptions, 'store' | 'objects' | 'trust' | 'log'> & { readonly apiServices: readonly APIService[] }): Promise<void> {
  if (objects.listCached(namespaceKind).length > 0 || objects.listCached(clusterRoleKind).length > 0) return;
  const of = <T extends KubernetesObject>(kind: Kind<T>, wanted: readonly T[]) => wanted.map((object) => ({ kind: kind as unknown as AnyKind, object: structuredClone(object) }));
  const rbac = bootstrapRbac();
  try {
    await store.createAll(of(namespaceKind, SYSTEM_NAMESPACES.map((name) => namespaceObject(name))), asServer)
      && await store.createAll([
        ...of(clusterRoleKind, rbac.clusterRoles), ...of(clusterRoleBindingKind, rbac.clusterRoleBindings), ...of(roleKind, rbac.roles), ...of(roleBindingKind, rbac.roleBindings),
        ...of(priorityClassKind, systemPriorityClasses()), ...of(configMapKind, [authenticationTrust(trust)]), ...of(apiServiceKind, apiServices),
      ], asServer);
  } catch (error) {
    log.warn({ err: error }, 'cannot create the objects of a fresh cluster at once');
  }
}

/** Retries until everything stands, then keeps the system namespaces alive; ends when `signal` aborts. */
export async function runBootstrap(options: BootstrapOptions, hooks: ReturnType<typeof bootstrapHooks>): Promise<void> {
  const { clock, log, signal } = options;
  const make = <T extends KubernetesObject>(kind: Kind<T>, desired: T, reconcile?: (existing: Readonly<T>) => T | undefined) => (): Promise<void> => ensure(options, kind, desired, reconcile);
  const namespaces = (): Promise<void> => inParallel(SYSTEM_NAMESPACES.map((name) => make(namespaceKind, namespaceObject(name))));
  const steps: [Hook, () => Promise<void>][] = [
    [hooks.namespaces, namespaces],
    [hooks.priorityClasses, () => inParallel(systemPriorityClasses().map((one) => make(priorityClassKind, one)))],
    [hooks.rbac, () => {
      const rbac = bootstrapRbac();
      return inParallel([
        ...rbac.clusterRoles.map((one) => make(clusterRoleKind, one, (existing) => reconcileRole(existing, one))),
        ...rbac.clusterRoleBindings.map((one) => () => ensureBinding(options, clusterRoleBindingKind, one)),
        ...rbac.roles.map((one) => make(roleKind, one, (existing) => reconcileRole(existing, one))),
        ...rbac.roleBindings.map((one) => () => ensureBinding(options, roleBindingKind, one)),
      ]);
    }],
    [hooks.trust, () => {
      const trust = authenticationTrust(options.trust);
      return make(configMapKind, trust, (existing: ConfigMap) => (semanticEqual(existing.data, trust.data) ? undefined : { ...existing, data: trust.data }))();
    }],
  ];
  const attemptLast: [Hook, () => Promise<void>] = [hooks.apiServices, options.registerLocalApiServices];
  const attempt = async ([hook, run]: [Hook, () => Promise<void>]): Promise<void> => {
    while (!signal.aborted && !hook.isDone) {
      try {
        await run();
        hook.isDone = true;
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error, hook: hook.name }, 'post start hook failed, trying again');
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
      }
    }
  };
  const [first, ...rest] = steps;
  if (first) await attempt(first); // roles live in namespaces
  await Promise.all(rest.map(attempt));
  await attempt(attemptLast); // nothing waits for these
  while (!signal.aborted) {
    await clock.sleep(NAMESPACE_PERIOD_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    await namespaces().catch((error: unknown) => log.warn({ err: error }, 'cannot put back the system namespaces'));
  }
}
