// Sandboxes and containers as CRI describes them.
import type { Container as CriContainer, ContainerState, ContainerStatus, PodSandbox, PodSandboxStatus, Sent } from '#lib/cri/messages.ts';
import { formatImageReference, parseImageReference } from '../core/image-reference.ts';
import type { Container, Sandbox } from './records.ts';
import type { Runtime } from './runtime.ts';

export const stateOf = ({ phase }: Container): ContainerState =>
  phase === 'running' ? 'CONTAINER_RUNNING' : phase === 'exited' ? 'CONTAINER_EXITED' : 'CONTAINER_CREATED';

export const sandboxSummary = ({ id, config, phase, createdAt, runtimeHandler }: Sandbox): Sent<PodSandbox> => ({
  id, metadata: config.metadata, state: phase === 'ready' ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY', createdAt, labels: config.labels, annotations: config.annotations, runtimeHandler,
});

export function sandboxStatus(sandbox: Sandbox): Sent<PodSandboxStatus> {
  const options = sandbox.config.linux?.securityContext?.namespaceOptions;
  // A stopped sandbox has no address any more.
  const network = sandbox.phase === 'ready' && sandbox.address !== '' ? { ip: sandbox.address } : {};
  return { ...sandboxSummary(sandbox), network, linux: { namespaces: { options: options ?? {} } } };
}

export function containerSummary(container: Container, runtime: Runtime): Sent<CriContainer> {
  const { id, sandboxId, config, imageId, createdAt } = container;
  return {
    id, podSandboxId: sandboxId, metadata: config.metadata, image: imageSpec(container, runtime), imageRef: imageId, imageId, state: stateOf(container), createdAt,
    labels: config.labels, annotations: config.annotations,
  };
}

export function containerStatus(container: Container, runtime: Runtime): Sent<ContainerStatus> {
  const { id, config, imageId, createdAt, startedAt, finishedAt, exitCode, reason, message } = container;
  const resources = config.linux?.resources;
  return {
    id, metadata: config.metadata, state: stateOf(container), createdAt, startedAt, finishedAt, exitCode, reason, message,
    image: imageSpec(container, runtime), imageRef: runtime.imageDigests(imageId)[0] ?? imageId, imageId, labels: config.labels, annotations: config.annotations,
    mounts: config.mounts, logPath: runtime.logPath(container), ...(resources ? { resources: { linux: resources } } : {}),
    stopSignal: runtime.stopSignalOf(container),
  };
}

/** The name by which a person knows the image, not the id that the kubelet created the container with. */
function imageSpec({ config, imageId }: Container, runtime: Runtime): Sent<NonNullable<ContainerStatus['image']>> {
  const asked = config.image?.userSpecifiedImage || config.image?.image || imageId;
  const tags = runtime.imageTags(imageId);
  const reference = parseImageReference(asked);
  const same = tags.find((tag) => reference !== undefined && tag === formatImageReference(reference));
  return { image: same ?? tags[0] ?? asked, userSpecifiedImage: config.image?.userSpecifiedImage ?? '' };
}
