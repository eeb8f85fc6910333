// Steps that the lifecycle of many kinds shares: what a client may not set is cleared or kept from the stored object.
// Source: pkg/registry/*/*/strategy.go; apimachinery metav1.ResetObjectMetaForStatus.
import type { KubernetesObject } from './define-kind.ts';

/** Puts `key` of `previous` into `next`; absent stays absent. */
export function keep<T extends object>(next: T, previous: Readonly<T>, ...keys: readonly (keyof T)[]): void {
  for (const key of keys) {
    if (previous[key] === undefined) delete next[key];
    else next[key] = previous[key];
  }
}

/** An update of the object leaves its status alone. */
export function keepStatus<T extends KubernetesObject & { status?: unknown }>(next: T, previous: T): void {
  keep(next, previous, 'status');
}
/** An update of the status leaves the spec alone; labels and annotations may come along, as upstream lets them. */
export function keepSpec<T extends KubernetesObject & { spec?: unknown }>(next: T, previous: T): void {
  keep(next, previous, 'spec');
}
