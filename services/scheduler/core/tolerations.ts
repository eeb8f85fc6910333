// Which taints a pod puts up with. Source: component-helpers scheduling/corev1 ToleratesTaint.
import type { Taint, Toleration } from '#lib/kinds/types/core-v1.ts';

export function tolerates({ key, operator, value, effect }: Toleration, taint: Taint): boolean {
  if (effect !== undefined && effect !== '' && effect !== taint.effect) return false;
  if (key !== undefined && key !== '' && key !== taint.key) return false;
  switch (operator ?? 'Equal') {
    case 'Exists': return true;
    case 'Gt': case 'Lt': {
      const [mine, theirs] = [Number(value), Number(taint.value)];
      if (!Number.isInteger(mine) || !Number.isInteger(theirs)) return false;
      return operator === 'Gt' ? theirs > mine : theirs < mine;
    }
    default: return (value ?? '') === (taint.value ?? '') && key !== undefined && key !== '';
  }
}

export function untolerated(taints: readonly Taint[], tolerations: readonly Toleration[], effects: readonly string[]): Taint[] {
  return taints.filter((taint) => effects.includes(taint.effect) && !tolerations.some((toleration) => tolerates(toleration, taint)));
}
