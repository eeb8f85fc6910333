// Removes images that nothing uses when their disk fills up. Source: pkg/kubelet/images/image_gc_manager.go.
import type { Environment } from '#lib/environment/environment.ts';
import { diskSpace } from '#lib/service/disk-usage.ts';
import { bytesToFree, removableImages, type ImagePolicy, type StoredImage } from '../core/image-garbage.ts';
import type { Runtime } from './runtime.ts';

/** Milliseconds. Source: ImageGCPeriod. */
const ROUND_MS = 300_000;

export interface ImageCollectorOptions extends Environment {
  readonly runtime: Runtime;
  readonly folder: string;
  readonly policy: ImagePolicy;
  readonly onNodeEvent: (reason: string, message: string) => void;
  readonly signal: AbortSignal;
}

export class ImageCollector {
  readonly #options: ImageCollectorOptions;
  readonly #known = new Map<string, { seenMs: number; usedMs: number }>();

  constructor(options: ImageCollectorOptions) {
    this.#options = options;
  }

  async run(): Promise<void> {
    const { clock, signal, log, onNodeEvent, policy } = this.#options;
    if (policy.highPercent >= 100) return; // switched off
    let failed = false;
    while (!signal.aborted) {
      await clock.sleep(ROUND_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      await this.collect().then(() => (failed = false), (error: unknown) => {
        log.error({ err: error }, 'image garbage collection failed');
        if (failed) onNodeEvent('ImageGCFailed', error instanceof Error ? error.message : String(error)); // the first failure may be an early one
        failed = true;
      });
    }
  }

  /** One round: frees down to the lower mark when the upper one is reached. */
  async collect(): Promise<void> {
    const { folder, policy, onNodeEvent, log } = this.#options;
    const images = await this.#detect();
    const { blocks, bsize, bavail } = await diskSpace(folder);
    const wanted = bytesToFree({ capacity: blocks * bsize, available: bavail * bsize }, policy);
    if (wanted === 0) return;
    const freed = await this.#remove(removableImages(images, policy, this.#options.clock.nowMs()), wanted);
    log.info({ wanted, freed }, 'collected images');
    if (freed < wanted) {
      const text = `Failed to garbage collect required amount of images. Attempted to free ${wanted} bytes, but only found ${freed} bytes eligible to free.`;
      onNodeEvent('FreeDiskSpaceFailed', text);
      throw new Error(text);
    }
  }

  /** All that nothing uses, however new. */
  async removeUnused(): Promise<void> {
    const images = await this.#detect();
    await this.#remove(removableImages(images, { ...this.#options.policy, minAgeMs: 0 }, this.#options.clock.nowMs()), Infinity);
  }

  async #remove(images: readonly StoredImage[], wantedBytes: number): Promise<number> {
    const { runtime, log } = this.#options;
    let freed = 0;
    for (const { id, sizeBytes } of images) {
      if (freed >= wantedBytes) break;
      log.info({ image: id, sizeBytes }, 'removing image: nothing uses it');
      await runtime.images.removeImage({ image: { image: id } });
      this.#known.delete(id);
      freed += sizeBytes;
    }
    return freed;
  }

  async #detect(): Promise<StoredImage[]> {
    const { runtime, clock } = this.#options;
    const [{ images }, { containers }] = await Promise.all([runtime.images.listImages({}), runtime.cri.listContainers({})]);
    const nowMs = clock.nowMs();
    const used = new Set(containers.flatMap(({ imageId, imageRef }) => [imageId, imageRef]));
    for (const id of this.#known.keys()) if (!images.some((image) => image.id === id)) this.#known.delete(id);
    return images.map(({ id, size, pinned }) => {
      const record = this.#known.get(id) ?? { seenMs: nowMs, usedMs: 0 };
      this.#known.set(id, record);
      const isInUse = used.has(id);
      if (isInUse) record.usedMs = nowMs;
      return { id, sizeBytes: size, isInUse, isPinned: pinned, ...record };
    });
  }
}
