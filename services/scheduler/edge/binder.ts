// Writes a decision to the API server.
import type { ApiClient } from '#lib/api-client/client.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { Pod, PodCondition } from '#lib/kinds/types/core-v1.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';

/** POST pods/NAME/binding. Throws what the API server answers. */
export async function bindPod(api: ApiClient, { metadata: { namespace, name, uid } }: Pod, nodeName: string, signal: AbortSignal): Promise<void> {
  await api.createSubresource(podKind, namespace, name, 'binding', {
    apiVersion: 'v1', kind: 'Binding', metadata: { name, namespace, uid }, target: { apiVersion: 'v1', kind: 'Node', name: nodeName },
  }, { signal });
}

export interface SchedulingOutcome {
  readonly reason: 'Unschedulable' | 'SchedulerError';
  readonly message: string;
  /** Empty: an earlier nomination is void. Undefined: it stays. */
  readonly nominatedNodeName?: string | undefined;
}

/** Puts the reason into the pod's condition PodScheduled; nothing is written when it is there already. */
export async function reportUnscheduled(api: ApiClient, pod: Pod, { reason, message, nominatedNodeName }: SchedulingOutcome, nowMs: number, signal: AbortSignal): Promise<void> {
  const known = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
  const isSame = known?.status === 'False' && known.reason === reason && known.message === message;
  const nomination = pod.status?.nominatedNodeName ?? '';
  const isNominationSame = (nominatedNodeName ?? nomination) === nomination;
  if (isSame && isNominationSame) return;
  const condition: PodCondition = {
    type: 'PodScheduled', status: 'False', reason, message,
    lastTransitionTime: known?.status === 'False' && known.lastTransitionTime !== undefined ? known.lastTransitionTime : timestamp(nowMs),
    observedGeneration: pod.metadata.generation,
  };
  await patchStatus(api, pod, { conditions: [condition], ...(isNominationSame ? {} : nominationPatch(nominatedNodeName)) }, signal);
}

const nominationPatch = (nodeName: string | undefined): object => ({ nominatedNodeName: nodeName === '' ? null : nodeName });

/** A pod that matters more has taken the room that was made for it. */
export async function withdrawNomination(api: ApiClient, pod: Pod, signal: AbortSignal): Promise<void> {
  await patchStatus(api, pod, nominationPatch(''), signal);
}

/** Marks a victim with why it has to go, then deletes it. */
export async function preemptVictim(api: ApiClient, victim: Pod, preemptor: Pod, nowMs: number, signal: AbortSignal): Promise<void> {
  const condition: PodCondition = {
    type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler',
    message: `${preemptor.spec.schedulerName ?? 'default-scheduler'}: preempting to accommodate a higher priority pod`, lastTransitionTime: timestamp(nowMs),
  };
  const { namespace, name, uid } = victim.metadata;
  try {
    await patchStatus(api, victim, { conditions: [condition] }, signal);
    await api.delete(podKind, namespace, name, { preconditions: { uid } }, { signal });
  } catch (error) {
    if (!isNotFound(error)) throw error; // gone already
  }
}

async function patchStatus(api: ApiClient, { metadata: { namespace, name, uid } }: Pod, status: unknown, signal: AbortSignal): Promise<void> {
  await api.patch(podKind, namespace, name, { metadata: { uid }, status }, { type: 'strategic', subresource: 'status', signal });
}

const timestamp = (nowMs: number): string => new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
