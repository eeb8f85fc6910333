// Taints and who tolerates them. Source: k8s.io/component-helpers/scheduling/corev1 and core/v1 Toleration.ToleratesTaint.
import type { Taint, Toleration } from '#lib/kinds/types/core-v1.ts';

export const NOT_READY = 'node.kubernetes.io/not-ready';
export const UNREACHABLE = 'node.kubernetes.io/unreachable';
export const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';
export const MEMORY_PRESSURE = 'node.kubernetes.io/memory-pressure';
export const DISK_PRESSURE = 'node.kubernetes.io/disk-pressure';
export const PID_PRESSURE = 'node.kubernetes.io/pid-pressure';
export const NETWORK_UNAVAILABLE = 'node.kubernetes.io/network-unavailable';
export const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

export function tolerates(toleration: Readonly<Toleration>, taint: Readonly<Taint>): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  switch (toleration.operator ?? 'Equal') {
    case '': case 'Equal': return (toleration.value ?? '') === (taint.value ?? '');
    case 'Exists': return true;
    default: return false;
  }
}

export function isTolerated(taint: Readonly<Taint>, tolerations: readonly Toleration[] | undefined): boolean {
  return (tolerations ?? []).some((toleration) => tolerates(toleration, taint));
}

/** The same taint as far as nodes are concerned: key and effect. */
export const isSameTaint = (left: Readonly<Taint>, right: Readonly<Taint>): boolean => left.key === right.key && left.effect === right.effect;
