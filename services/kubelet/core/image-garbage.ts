// Which images may go, and how many must. Source: pkg/kubelet/images/image_gc_manager.go.

export interface StoredImage {
  readonly id: string;
  readonly sizeBytes: number;
  readonly isInUse: boolean;
  readonly isPinned: boolean;
  /** When the kubelet first saw it, and when a container last used it. Milliseconds; 0: never. */
  readonly seenMs: number;
  readonly usedMs: number;
}
export interface ImagePolicy {
  readonly highPercent: number;
  readonly lowPercent: number;
  readonly minAgeMs: number;
}

/** Bytes to free; 0: the disk is not full enough. */
export function bytesToFree({ capacity, available }: { readonly capacity: number; readonly available: number }, { highPercent, lowPercent }: ImagePolicy): number {
  const usedPercent = 100 - Math.floor((available * 100) / Math.max(1, capacity));
  return usedPercent < highPercent ? 0 : Math.max(0, Math.floor((capacity * (100 - lowPercent)) / 100) - available);
}

/** Unused images, the longest unused first. `nowMs`: those seen or used since too short a time are kept. */
export function removableImages(images: readonly StoredImage[], policy: ImagePolicy, nowMs: number): StoredImage[] {
  return images.filter(({ isInUse, isPinned, seenMs, usedMs }) => !isInUse && !isPinned && nowMs - Math.max(seenMs, 0) >= policy.minAgeMs && nowMs > usedMs)
    .sort((left, right) => left.usedMs - right.usedMs || left.seenMs - right.seenMs);
}
