// What the runtime knows of one pod, in the kubelet's own words: its sandboxes and containers, newest first.
import type { RuntimeResources } from './resize.ts';

export type ContainerRunState = 'created' | 'running' | 'exited' | 'unknown';

export interface RuntimeContainer {
  readonly id: string;
  readonly name: string;
  readonly sandboxId: string;
  readonly state: ContainerRunState;
  readonly restartCount: number;
  /** Hash of the spec it was made from; empty when its annotation is missing. */
  readonly hash: string;
  /** Nanoseconds since 1970. */
  readonly createdAt: bigint;
  /** Milliseconds; 0 when it never started, or did not finish. */
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly exitCode: number;
  readonly reason: string;
  readonly message: string;
  /** As asked for, and as resolved. */
  readonly image: string;
  readonly imageId: string;
  readonly logPath: string;
  readonly stopSignal: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] } | undefined;
  readonly annotations: Readonly<Record<string, string>>;
  /** CPU and memory settings, where the runtime tells. */
  readonly resources: RuntimeResources | undefined;
}

export interface RuntimeSandbox {
  readonly id: string;
  readonly isReady: boolean;
  readonly attempt: number;
  readonly createdAt: bigint;
  readonly ips: readonly string[];
  readonly usesHostNetwork: boolean;
}

export interface RuntimePod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly sandboxes: readonly RuntimeSandbox[];
  readonly containers: readonly RuntimeContainer[];
}

export const newestContainer = (pod: RuntimePod, name: string): RuntimeContainer | undefined => pod.containers.find((container) => container.name === name);
/** Running or about to: what must end before a pod is gone. */
export const liveContainers = (pod: RuntimePod): RuntimeContainer[] => pod.containers.filter(({ state }) => state === 'running' || state === 'unknown' || state === 'created');

export const emptyRuntimePod = (uid: string, namespace: string, name: string): RuntimePod => ({ uid, namespace, name, sandboxes: [], containers: [] });

/** Addresses of the pod: those of its newest sandbox, if that is ready. */
export function sandboxAddresses(pod: RuntimePod): readonly string[] {
  const [newest] = pod.sandboxes;
  return newest?.isReady === true ? newest.ips : [];
}
