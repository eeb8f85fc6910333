// Sees to it that a container's image is on the node: by policy, with back-off, one pull at a time or as many as configured.
// Source: pkg/kubelet/images/image_manager.go.
import { steadily } from '#lib/environment/clock.ts';
import type { Environment } from '#lib/environment/environment.ts';
import type { AuthConfig, Image, PodSandboxConfig, Sent } from '#lib/cri/messages.ts';
import type { Container, Pod } from '#lib/kinds/types/core-v1.ts';
import { BackOff, goDuration, type BackOffLimits } from '../core/back-off.ts';
import type { ReferencedObjects } from '../core/environment-variables.ts';
import { credentialsFor, ImageNameError, pullDecision, withDefaultTag } from '../core/image-name.ts';
import { uidOf } from '../core/pod-spec.ts';
import { errorText, type Runtime } from './runtime.ts';
import { StartFailure } from './start-failure.ts';

export interface ImagePullerOptions extends Environment {
  readonly runtime: Runtime;
  readonly limits: BackOffLimits;
  /** Pulls that may run at once. */
  readonly maxParallel: number;
  readonly onEvent: (pod: Pod, container: string | undefined, type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

/** By which a runtime says that an image is a small stand-in for the one asked for. */
const STAND_IN_ANNOTATION = 'kubreak.io/stand-in';

export class ImagePuller {
  readonly #options: ImagePullerOptions;
  readonly #backOff: BackOff;
  readonly #lastErrors = new Map<string, string>();
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(options: ImagePullerOptions) {
    this.#options = options;
    this.#backOff = new BackOff(options.limits);
  }

  /** The image, ready for use. Throws StartFailure with the reason that the container's waiting state shows. */
  async ensure(pod: Pod, container: Container, sandboxConfig: Sent<PodSandboxConfig>, objects: ReferencedObjects, signal: AbortSignal): Promise<Image> {
    const { onEvent } = this.#options;
    const image = container.image ?? '';
    const say = (type: 'Normal' | 'Warning', reason: string, message: string): void => onEvent(pod, container.name, type, reason, message);
    const reference = this.#reference(image, say);
    const present = await this.#inspect(reference, image, say);
    switch (pullDecision(container.imagePullPolicy, image, present !== undefined)) {
      case 'never': {
        const text = `Container image ${JSON.stringify(image)} is not present with pull policy of Never`;
        say('Warning', 'ErrImageNeverPull', text);
        throw new StartFailure('ErrImageNeverPull', text, { eventText: 'ErrImageNeverPull' });
      }
      case 'use':
        if (present) {
          say('Normal', 'Pulled', `Container image ${JSON.stringify(image)} already present on machine and can be accessed by the pod`);
          this.#sayStandIn(present, image, say);
          return present;
        }
    }
    return this.#pull({ pod, reference, image, sandboxConfig, objects, say, signal });
  }

  #reference(image: string, say: Say): string {
    try {
      return withDefaultTag(image);
    } catch (error) {
      if (!(error instanceof ImageNameError)) throw error;
      say('Warning', 'InspectFailed', `Failed to apply default image tag ${JSON.stringify(image)}: ${error.message}`);
      throw new StartFailure('InvalidImageName', `Failed to apply default image tag ${JSON.stringify(image)}: ${error.message}`, { eventText: 'InvalidImageName' });
    }
  }

  async #inspect(reference: string, image: string, say: Say): Promise<Image | undefined> {
    try {
      return (await this.#options.runtime.images.imageStatus({ image: { image: reference } })).image;
    } catch (error) {
      const text = `Failed to inspect image ${JSON.stringify(image)}: ${errorText(error)}`;
      say('Warning', 'InspectFailed', text);
      throw new StartFailure('ImageInspectError', text, { eventText: 'ImageInspectError', cause: error });
    }
  }

  #sayStandIn({ spec }: Image, image: string, say: Say): void {
    if (spec?.annotations[STAND_IN_ANNOTATION] === 'true') say('Normal', 'StandInImage', `Image ${JSON.stringify(image)} is a built-in stand-in, not the published image`);
  }

  async #pull({ pod, reference, image, sandboxConfig, objects, say, signal }: PullInputs): Promise<Image> {
    const { runtime, onEvent } = this.#options;
    const clock = steadily(this.#options.clock);
    const key = `${uidOf(pod)}_${reference}`;
    const waitMs = this.#backOff.remainingMs(key, clock.nowMs());
    if (waitMs > 0) {
      const text = `Back-off pulling image ${JSON.stringify(image)}`;
      say('Normal', 'BackOff', text);
      const before = this.#lastErrors.get(key);
      throw new StartFailure('ImagePullBackOff', before === undefined ? text : `${text}: ErrImagePull: ${before}`, { retryAfterMs: waitMs, eventText: 'ImagePullBackOff' });
    }
    const { auths, missing } = this.#authsOf(pod, reference, objects, say);
    // Source: pkg/kubelet/kubelet_pods.go, getPullSecretsForPod.
    if (missing.length > 0) onEvent(pod, undefined, 'Warning', 'FailedToRetrieveImagePullSecret', `Unable to retrieve some image pull secrets (${missing.join(', ')}); attempting to pull the image may not succeed.`);
    say('Normal', 'Pulling', `Pulling image ${JSON.stringify(image)}`);
    const askedMs = clock.nowMs();
    try {
      const { found, tookMs } = await this.#inTurn(async () => {
        signal.throwIfAborted();
        const startedMs = clock.nowMs();
        const imageRef = await firstThatWorks(auths, (auth) => runtime.images.pullImage(
          { image: { image: reference, userSpecifiedImage: image }, ...(auth ? { auth } : {}), sandboxConfig }, { timeoutMs: Infinity, signal }), signal);
        const { image: pulled } = await runtime.images.imageStatus({ image: { image: imageRef === '' ? reference : imageRef } });
        return { found: pulled ?? { ...emptyImage, id: imageRef }, tookMs: clock.nowMs() - startedMs };
      });
      const whole = goDuration(clock.nowMs() - askedMs);
      say('Normal', 'Pulled', `Successfully pulled image ${JSON.stringify(image)} in ${goDuration(tookMs)} (${whole} including waiting). Image size: ${found.size} bytes.`);
      this.#sayStandIn(found, image, say);
      this.#backOff.reset(key);
      this.#lastErrors.delete(key);
      return found;
    } catch (error) {
      if (signal.aborted) throw error;
      const text = errorText(error);
      say('Warning', 'Failed', `Failed to pull image ${JSON.stringify(image)}: ${text}`);
      this.#backOff.next(key, clock.nowMs(), clock.nowMs());
      this.#lastErrors.set(key, text);
      throw new StartFailure('ErrImagePull', text, { eventText: 'ErrImagePull', cause: error });
    }
  }

  #authsOf(pod: Pod, reference: string, objects: ReferencedObjects, say: Say): ReturnType<typeof authsOf> {
    try {
      return authsOf(pod, reference, objects);
    } catch (error) {
      if (!(error instanceof ImageNameError)) throw error;
      say('Warning', 'Failed', `Failed to pull image ${JSON.stringify(reference)}: ${error.message}`);
      throw new StartFailure('ErrImagePull', error.message, { eventText: 'ErrImagePull', cause: error });
    }
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#options.maxParallel) await new Promise<void>((resolve) => this.#waiting.push(resolve)); // who ends hands its place on
    else this.#running += 1;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running -= 1;
    }
  }

  /** Forgets a pod that is gone. */
  forget(uid: string): void {
    for (const key of this.#lastErrors.keys()) if (key.startsWith(`${uid}_`)) this.#lastErrors.delete(key);
    this.#backOff.collect(steadily(this.#options.clock).nowMs());
  }
}

type Say = (type: 'Normal' | 'Warning', reason: string, message: string) => void;
interface PullInputs {
  readonly pod: Pod;
  readonly reference: string;
  readonly image: string;
  readonly sandboxConfig: Sent<PodSandboxConfig>;
  readonly objects: ReferencedObjects;
  readonly say: Say;
  readonly signal: AbortSignal;
}
const emptyImage: Image = { id: '', repoTags: [], repoDigests: [], size: 0, username: '', pinned: false };

/** Each of the credentials in turn, or none when there are none; the last failure tells. */
async function firstThatWorks(auths: readonly Sent<AuthConfig>[], pull: (auth: Sent<AuthConfig> | undefined) => Promise<{ readonly imageRef: string }>, signal: AbortSignal): Promise<string> {
  const [first, ...others] = auths;
  try {
    return (await pull(first)).imageRef;
  } catch (error) {
    if (others.length === 0 || signal.aborted) throw error;
    return firstThatWorks(others, pull, signal);
  }
}

/** All that the pod's pull secrets have for the image's registry, and the names of those that could not be read. */
function authsOf(pod: Pod, image: string, objects: ReferencedObjects): { readonly auths: Sent<AuthConfig>[]; readonly missing: readonly string[] } {
  const names = (pod.spec.imagePullSecrets ?? []).flatMap(({ name = '' }) => (name === '' ? [] : [name]));
  const secrets = names.map((name) => ({ name, secret: objects.secret(name) }));
  return {
    auths: credentialsFor(image, secrets.flatMap(({ secret }) => (secret ? [secret] : []))),
    missing: secrets.filter(({ secret }) => !secret).map(({ name }) => name),
  };
}
