// Small objects for the tests of this folder.
import type { Container, Pod, PodSpec } from '#lib/kinds/types/core-v1.ts';
import { containerHash } from './container-hash.ts';
import type { RuntimeContainer, RuntimePod, RuntimeSandbox } from './runtime-pod.ts';

export const container = (name: string, more: Partial<Container> = {}): Container => ({ name, image: 'nginx', ...more });

export const pod = (spec: Partial<PodSpec> = {}, metadata: Partial<Pod['metadata']> = {}): Pod => ({
  metadata: { name: 'web', namespace: 'default', uid: 'u1', ...metadata },
  spec: { containers: [container('a')], restartPolicy: 'Always', ...spec },
});

export const sandbox = (more: Partial<RuntimeSandbox> = {}): RuntimeSandbox => ({ id: 's1', isReady: true, attempt: 0, createdAt: 1n, ips: ['172.16.0.2'], usesHostNetwork: false, ...more });

export const ran = (name: string, more: Partial<RuntimeContainer> = {}): RuntimeContainer => ({
  id: `${name}-1`, name, sandboxId: 's1', state: 'running', restartCount: 0, hash: containerHash(container(name)), createdAt: 1n,
  startedAtMs: 1000, finishedAtMs: 0, exitCode: 0, reason: '', message: '', image: 'nginx', imageId: 'sha256:1', logPath: '', stopSignal: '', user: undefined, annotations: {}, resources: undefined, ...more,
});
export const exited = (name: string, exitCode: number, more: Partial<RuntimeContainer> = {}): RuntimeContainer =>
  ran(name, { state: 'exited', exitCode, finishedAtMs: 2000, reason: exitCode === 0 ? 'Completed' : 'Error', ...more });

export const runtimePod = (containers: readonly RuntimeContainer[] = [], sandboxes: readonly RuntimeSandbox[] = [sandbox()]): RuntimePod =>
  ({ uid: 'u1', namespace: 'default', name: 'web', sandboxes, containers });
