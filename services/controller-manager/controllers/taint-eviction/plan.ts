// When a pod has to leave its node because of NoExecute taints. Source: pkg/controller/tainteviction/taint_eviction.go.
import type { Node, Pod } from '#lib/kinds/types/core-v1.ts';
import { tolerates } from '../../core/taints.ts';

export type EvictionPlan =
  | { readonly type: 'stay' }
  | { readonly type: 'evict-now' }
  /** Tolerated for this time, counted from when the taint was first seen. */
  | { readonly type: 'evict-after'; readonly durationMs: number };

export function planEviction(pod: Readonly<Pod>, node: Readonly<Node> | undefined): EvictionPlan {
  const taints = (node?.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
  if (taints.length === 0) return { type: 'stay' };
  let shortestMs: number | undefined;
  for (const taint of taints) {
    const toleration = pod.spec.tolerations?.find((one) => tolerates(one, taint));
    if (!toleration) return { type: 'evict-now' };
    if (toleration.tolerationSeconds === undefined) continue;
    shortestMs = Math.min(shortestMs ?? Infinity, Math.max(0, toleration.tolerationSeconds) * 1000);
  }
  if (shortestMs === undefined) return { type: 'stay' };
  return shortestMs === 0 ? { type: 'evict-now' } : { type: 'evict-after', durationMs: shortestMs };
}
