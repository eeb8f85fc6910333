// Empties namespaces that are being deleted, pods first, and then lets go of them.
// Source: pkg/controller/namespace/deletion/namespaced_resources_deleter.go.
import { objectPath } from '#lib/api-client/client.ts';
import { defineController, done, mapped, retryAfterMs, type Controller, type ReconcileContext } from '#lib/controller/define-controller.ts';
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Namespace, Pod } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { isConflict, isNotFound, qualifiedResource, StatusError } from '#lib/machinery/status-error.ts';
import { parseTimeOrUndefined } from '#lib/machinery/time.ts';
import { isTerminal } from '../../core/pod-state.ts';
import { discover } from '../../edge/discovery.ts';
import { namespaceConditions, type Emptying } from './plan.ts';

const FINALIZER = 'kubernetes';
/** Time after the deletion until work begins, for other API servers to learn that nothing may be created. */
const SETTLING_MS = 5_000;
/** How long objects with finalizers, and pods without a grace period, are thought to take; seconds. */
const UNKNOWN_ESTIMATE_SECONDS = 15;

export const namespaceController = (workers: number): Controller => defineController({
  name: 'namespace-controller',
  queueName: 'namespace',
  reconciles: namespaceKind,
  alsoWatches: [mapped(podKind, ({ metadata: { namespace = '' } }, cache) => (cache.get(namespaceKind, undefined, namespace)?.metadata.deletionTimestamp === undefined ? [] : [namespace]), { isRelevantUpdate: () => false })],
  workers,
  async reconcile({ name }, context) {
    const cached = context.cache.get(namespaceKind, undefined, name);
    if (!cached || cached.metadata.deletionTimestamp === undefined || !hasFinalizer(cached)) return done;
    const leftMs = (parseTimeOrUndefined(cached.metadata.deletionTimestamp) ?? 0) + SETTLING_MS - context.clock.nowMs();
    if (leftMs > 0) return retryAfterMs(leftMs);
    const namespace = await live(name, context);
    if (!namespace || namespace.metadata.uid !== cached.metadata.uid || !hasFinalizer(namespace)) return done;
    const { emptying, estimateSeconds } = await empty(name, context);
    await writeConditions(namespace, emptying, context);
    const problems = [...emptying.undiscovered.keys(), ...emptying.errors];
    if (problems.length > 0) throw new StatusError({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message: problems.join(', '), code: 500 });
    if (estimateSeconds > 0) return retryAfterMs((Math.floor(estimateSeconds / 2) + 1) * 1000);
    await finalize(name, namespace.metadata.uid, context);
    return done;
  },
});

const hasFinalizer = ({ spec }: Readonly<Namespace>): boolean => spec?.finalizers?.includes(FINALIZER) ?? false;

async function live(name: string, { api }: ReconcileContext): Promise<Namespace | undefined> {
  try {
    return await api.getLive(namespaceKind, undefined, name);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** One sweep over everything in the namespace. An estimate of 0 seconds means: nothing is left. */
async function empty(namespace: string, context: ReconcileContext): Promise<{ emptying: Emptying; estimateSeconds: number }> {
  const { api } = context;
  const { kinds, failed } = await discover((method, path) => api.request(method, path));
  const namespaced = kinds.filter((kind) => kind.namespaced && kind.verbs.includes('delete') && kind.verbs.includes('list'));
  const emptying = { undiscovered: failed, errors: [] as string[], remaining: new Map<string, number>(), finalizers: new Map<string, number>() };
  let estimateSeconds = 0;
  const sweep = async (kind: AnyKind): Promise<void> => {
    try {
      estimateSeconds = Math.max(estimateSeconds, await deleteAll(kind, namespace, emptying, context));
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      if (error.code === 405 || error.code === 404) return; // what cannot be listed or deleted cannot hold the namespace
      emptying.errors.push(error.message);
    }
  };
  const isPods = ({ group, plural }: AnyKind): boolean => group === '' && plural === 'pods';
  for (const kind of namespaced.filter(isPods)) await sweep(kind);
  // While pods run, what they use must stay.
  if (emptying.remaining.size === 0 && emptying.errors.length === 0) for (const kind of namespaced.filter((one) => !isPods(one))) await sweep(kind);
  return { emptying, estimateSeconds };
}

/** Deletes all objects of a kind; resolves with the seconds that those which stay are thought to take. */
async function deleteAll(kind: AnyKind, namespace: string, emptying: { remaining: Map<string, number>; finalizers: Map<string, number>; errors: string[] }, { api }: ReconcileContext): Promise<number> {
  const path = objectPath(kind, namespace);
  const list = async (): Promise<KubernetesObject[]> => (await api.request<{ items?: KubernetesObject[] | null }>('GET', path)).items ?? [];
  const before = await list();
  if (before.length === 0) return 0;
  const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' };
  if (kind.verbs.includes('deletecollection')) {
    await api.request('DELETE', path, options);
  } else {
    for (const { metadata } of before) {
      await api.request('DELETE', objectPath(kind, namespace, metadata.name), options).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    }
  }
  const left = await list();
  if (left.length === 0) return 0;
  const resource = kind.group === '' ? `${kind.plural}.` : qualifiedResource(kind);
  emptying.remaining.set(resource, left.length);
  let hasFinalizers = false;
  for (const { metadata } of left) {
    for (const finalizer of metadata.finalizers ?? []) {
      hasFinalizers = true;
      emptying.finalizers.set(finalizer, (emptying.finalizers.get(finalizer) ?? 0) + 1);
    }
  }
  const podSeconds = kind.plural === 'pods' && kind.group === '' ? estimateForPods(left as Pod[]) : 0;
  if (podSeconds > 0) return podSeconds;
  if (hasFinalizers) return UNKNOWN_ESTIMATE_SECONDS;
  emptying.errors.push(`unexpected items still remain in namespace: ${namespace} for gvr: ${kind.group}/${kind.version}, Resource=${kind.plural}`);
  return 0;
}

/** The longest grace period of pods that have not ended. */
function estimateForPods(pods: readonly Pod[]): number {
  const graces = pods.filter((pod) => !isTerminal(pod)).map(({ spec }) => spec.terminationGracePeriodSeconds ?? UNKNOWN_ESTIMATE_SECONDS);
  return graces.length === 0 ? UNKNOWN_ESTIMATE_SECONDS : Math.max(1, ...graces);
}

async function writeConditions(namespace: Namespace, emptying: Emptying, { api, clock }: ReconcileContext): Promise<void> {
  const conditions = namespaceConditions(namespace.status?.conditions ?? [], emptying, clock.nowMs());
  if (semanticEqual(conditions, namespace.status?.conditions)) return;
  await api.updateStatus(namespaceKind, { ...namespace, status: { ...namespace.status, phase: 'Terminating', conditions } }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

async function finalize(name: string, uid: string | undefined, context: ReconcileContext): Promise<void> {
  for (;;) {
    const namespace = await live(name, context);
    if (!namespace || namespace.metadata.uid !== uid || !hasFinalizer(namespace)) return;
    const body = { ...namespace, apiVersion: 'v1', kind: 'Namespace', spec: { ...namespace.spec, finalizers: namespace.spec?.finalizers?.filter((one) => one !== FINALIZER) ?? [] } };
    try {
      await context.api.request('PUT', objectPath(namespaceKind, undefined, name, 'finalize'), body);
      return;
    } catch (error) {
      if (isNotFound(error)) return;
      if (!isConflict(error)) throw error; // a conflict is tried again from a fresh read
    }
  }
}
