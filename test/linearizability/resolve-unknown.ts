// What the store tells afterwards about writes whose answers were lost: values are unique, so a write that happened is there with
// its revision, and one that is not there never happened. Only deletions can remain in doubt.
import type { StoreEvent } from './history.ts';
import { writtenAt, type Operation } from './kv-model.ts';

export function resolveUnknown(operations: readonly Operation[], events: readonly StoreEvent[]): Operation[] {
  const byValue = new Map(events.flatMap(({ type, key, kv, revision }) => (type === 'PUT' && kv !== undefined ? [[`${key}=${kv.value}`, revision] as const] : [])));
  const withPuts = operations.flatMap((operation): Operation[] => {
    const put = operation.outcome === undefined ? operation.request.success.find((change) => change.type === 'put') : undefined;
    if (put === undefined) return [operation];
    const revision = byValue.get(`${put.key}=${put.value}`);
    return revision === undefined ? [] : [{ ...operation, isOptional: false, revisions: [revision] }];
  });
  // Deletions that nobody else has made.
  const claimed = new Set(withPuts.map(writtenAt));
  const deletions = new Map<string, number[]>();
  for (const { type, key, revision } of events) {
    if (type === 'DELETE' && !claimed.has(revision)) deletions.set(key, [...(deletions.get(key) ?? []), revision]);
  }
  return withPuts.flatMap((operation): Operation[] => {
    if (operation.outcome !== undefined || operation.revisions !== undefined) return [operation];
    const revisions = deletions.get(operation.request.success[0]?.key ?? '');
    return revisions === undefined ? [] : [{ ...operation, revisions }];
  });
}
