// LimitRange of v1: the least, the most and the usual that a pod or container of a namespace asks for.
import { defineKind } from '../define-kind.ts';
import type { LimitRange, LimitRangeItem } from '../types/core-v1.ts';
import { validateLimitRange } from './limit-range-validation.ts';

/** What is not said of a container follows from what is: default from max, defaultRequest from default, then min. */
function defaultItem(item: LimitRangeItem): void {
  if (item.type !== 'Container') return;
  item.default = { ...item.max, ...item.default };
  item.defaultRequest = { ...item.min, ...item.default, ...item.defaultRequest };
}

export const limitRangeKind = defineKind<LimitRange>({
  group: '', version: 'v1', kind: 'LimitRange', plural: 'limitranges', singular: 'limitrange', scope: 'Namespaced',
  schema: 'io.k8s.api.core.v1.LimitRange',
  shortNames: ['limits'],
  storageVersionHash: 'EBKMFVe6cwo=',
  applyDefaults: (limitRange) => {
    // A body may leave out what the type requires.
    const spec = (limitRange.spec ??= { limits: [] });
    for (const item of (spec.limits ??= [])) defaultItem(item);
  },
  validate: validateLimitRange,
  allowCreateOnUpdate: true,
});
