// The difference between the status that the API server has and the one the kubelet has computed, as a strategic merge
// patch. Lists of addresses are merged by ip, so old ones have to be deleted by name.
import type { PodStatus } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { PASSING_CONDITIONS } from './pod-conditions.ts';

const OWN_FIELDS = [
  'observedGeneration', 'phase', 'reason', 'message', 'qosClass', 'startTime', 'hostIP', 'podIP',
  'containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses',
] as const satisfies readonly (keyof PodStatus)[];
const ADDRESS_FIELDS = ['hostIPs', 'podIPs'] as const satisfies readonly (keyof PodStatus)[];

/** undefined: nothing differs. */
export function statusPatch(current: PodStatus, wanted: PodStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  for (const field of OWN_FIELDS) {
    if (semanticEqual(current[field], wanted[field])) continue;
    if (wanted[field] === undefined && field === 'qosClass') continue; // set by the server and immutable
    patch[field] = wanted[field] ?? null;
  }
  for (const field of ADDRESS_FIELDS) {
    const [before, after] = [current[field] ?? [], wanted[field] ?? []];
    if (semanticEqual(before, after)) continue;
    const gone = before.filter(({ ip }) => !after.some((one) => one.ip === ip)).map(({ ip }) => ({ $patch: 'delete', ip }));
    patch[field] = [...after, ...gone];
  }
  const conditions = (wanted.conditions ?? []).filter((condition) => !semanticEqual(condition, current.conditions?.find(({ type }) => type === condition.type)));
  const gone = PASSING_CONDITIONS.filter((type) => current.conditions?.some((one) => one.type === type) && !wanted.conditions?.some((one) => one.type === type));
  if (conditions.length + gone.length > 0) {
    patch['conditions'] = [...conditions.map((condition) => clearing(condition, current.conditions?.find(({ type }) => type === condition.type))), ...gone.map((type) => ({ $patch: 'delete', type }))];
  }
  return Object.keys(patch).length === 0 ? undefined : patch;
}

/** Merging keeps what a patch does not name: fields that went have to be named with null. */
function clearing<T extends object>(wanted: T, current: T | undefined): Record<string, unknown> {
  const absent = Object.keys(current ?? {}).filter((key) => (wanted as Record<string, unknown>)[key] === undefined);
  return { ...wanted, ...Object.fromEntries(absent.map((key) => [key, null])) };
}
