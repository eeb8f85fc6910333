// Creating and deleting the pods of an owner, with upstream's events and careful start: 1, 2, 4, 8 ... at a time, so
// that what fails for one pod fails once and not five hundred times. Source: pkg/controller/controller_utils.go.
import { referenceTo } from '#lib/api-client/event-recorder.ts';
import type { NewObject } from '#lib/api-client/client.ts';
import type { ReconcileContext } from '#lib/controller/define-controller.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { Pod, PodSpec, PodTemplateSpec } from '#lib/kinds/types/core-v1.ts';
import { controllerReference } from '#lib/machinery/controller-ref.ts';
import { dnsSubdomainProblems, asPrefix } from '#lib/machinery/names.ts';
import { isNotFound, StatusError } from '#lib/machinery/status-error.ts';

/** At most so many pods are created or deleted in one reconcile. Source: BurstReplicas. */
export const BURST_REPLICAS = 500;

/** The pod that a template describes, owned by `owner`. The server names it. */
export function podFromTemplate<O extends KubernetesObject>(template: Readonly<PodTemplateSpec>, owner: Readonly<O>, ownerKind: Kind<O>): NewObject<Pod> {
  const { labels, annotations, finalizers } = template.metadata ?? {};
  const prefix = `${owner.metadata.name}-`;
  return {
    metadata: {
      generateName: asPrefix(dnsSubdomainProblems)(prefix).length === 0 ? prefix : owner.metadata.name,
      namespace: owner.metadata.namespace,
      labels: { ...labels },
      annotations: { ...annotations },
      finalizers: [...(finalizers ?? [])],
      ownerReferences: [controllerReference(owner, ownerKind)],
    },
    spec: structuredClone(template.spec ?? ({ containers: [] } satisfies PodSpec)),
  };
}

/** The namespace is on its way out: creating more is pointless, and no reason to complain. */
export function isNamespaceTerminating(error: unknown): boolean {
  return error instanceof StatusError && (error.status.details?.causes ?? []).some(({ reason }) => reason === 'NamespaceTerminating');
}

/** Runs `action` for 0..count-1 in growing batches; stops after a batch with an error and throws the first one. */
export async function slowStart(count: number, action: (index: number) => Promise<void>): Promise<void> {
  for (let begun = 0, batch = 1; begun < count; batch *= 2) {
    const size = Math.min(batch, count - begun);
    const results = await Promise.allSettled(Array.from({ length: size }, (_, offset) => action(begun + offset)));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
    begun += size;
  }
}

/** Does what it can of something; resolves with the error that stopped it, so that what was done can be counted first. */
export async function attempted(work: Promise<unknown>): Promise<Error | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Creates a pod and says so; a namespace that is going away is no error. */
export async function createPod<O extends KubernetesObject>(pod: NewObject<Pod>, owner: Readonly<O>, { api, events }: ReconcileContext): Promise<void> {
  try {
    const created = await api.create(podKind, pod);
    events.event(referenceTo(owner), 'Normal', 'SuccessfulCreate', `Created pod: ${created.metadata.name}`);
  } catch (error) {
    if (isNamespaceTerminating(error)) return;
    events.event(referenceTo(owner), 'Warning', 'FailedCreate', `Error creating: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  }
}

export async function deletePod<O extends KubernetesObject>(pod: Readonly<Pod>, owner: Readonly<O>, { api, events }: ReconcileContext): Promise<void> {
  try {
    await api.delete(podKind, pod);
    events.event(referenceTo(owner), 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
  } catch (error) {
    if (isNotFound(error)) return;
    events.event(referenceTo(owner), 'Warning', 'FailedDelete', `Error deleting: ${error instanceof Error ? error.message : String(error)}`);
    throw error;
  }
}

/** Deletes all at once; throws the first error after all have been tried. */
export async function deletePods<O extends KubernetesObject>(pods: readonly Readonly<Pod>[], owner: Readonly<O>, context: ReconcileContext): Promise<void> {
  const results = await Promise.allSettled(pods.map((pod) => deletePod(pod, owner, context)));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}
