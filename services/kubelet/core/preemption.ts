// Which pods make way for a critical one that does not fit. Source: pkg/kubelet/preemption.
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import { isCriticalPod } from './pod-spec.ts';
import { podRequests, qosClassOf, type Amounts, type QosClass } from './resources.ts';

/** Source: preemption.go. */
export const PREEMPTED = { reason: 'Preempting', message: 'Preempted in order to admit critical pod' } as const;

const ORDER: readonly QosClass[] = ['BestEffort', 'Burstable', 'Guaranteed'];

/** Whether `pod` may take the place of `other`. */
export const mayPreempt = (pod: Pod, other: Pod): boolean => !isCriticalPod(other) && (isCriticalPod(pod) || (pod.spec.priority ?? 0) > (other.spec.priority ?? 0));

/** `missing`: what has to be freed, `pods` counted as a resource of its own. Undefined: even all together would not do. */
export function preemptionVictims(pod: Pod, others: readonly Pod[], missing: Amounts): Pod[] | undefined {
  const left: Record<string, number> = { ...missing };
  const freed = (other: Pod): Amounts => ({ ...podRequests(other), pods: 1 });
  const isEnough = (): boolean => Object.values(left).every((amount) => amount <= 0);
  const candidates = others.filter((other) => mayPreempt(pod, other));
  const victims: Pod[] = [];
  for (const qos of ORDER) {
    const pool = candidates.filter((other) => qosClassOf(other) === qos);
    while (!isEnough() && pool.length > 0) {
      // The one that comes nearest to what is missing; of equals the one that wastes least.
      const distance = (other: Pod): number => Object.entries(left).reduce((sum, [name, amount]) => sum + (amount <= 0 ? 0 : (Math.max(0, amount - (freed(other)[name] ?? 0)) / amount) ** 2), 0);
      const weight = (other: Pod): number => Object.values(podRequests(other)).reduce((sum, amount) => sum + amount, 0);
      pool.sort((a, b) => distance(a) - distance(b) || weight(a) - weight(b));
      const victim = pool.shift();
      if (!victim) break;
      victims.push(victim);
      for (const [name, amount] of Object.entries(freed(victim))) if (left[name] !== undefined) left[name] -= amount;
    }
  }
  return isEnough() ? victims : undefined;
}
