// Joins the networking of Services to the writes of the object store, and keeps it in step with what is stored.
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { serviceKind } from '#lib/kinds/core/service.ts';
import type { Service } from '#lib/kinds/types/core-v1.ts';
import type { ObjectReader } from '../object-reader.ts';
import { holdingsOf, type ServiceNetworking } from './service-networking.ts';

/** Changes with every write that takes an address or a port, so that two API servers do not take the same. */
const GUARD_KEY = '/registry/ranges/services';

const isService = (kind: AnyKind): boolean => kind.group === '' && kind.kind === 'Service';

/**
 * What is stored holds its numbers by way of the watch; a write in flight holds what it takes until the watch has told of
 * it, so that no number is free for a moment in between.
 */
export function serviceReservations(networking: ServiceNetworking, objects: ObjectReader) {
  const pending = new Map<string, (() => void)[]>();
  const releases = new WeakMap<KubernetesObject, () => void>();
  const keyOf = ({ metadata }: KubernetesObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;
  objects.subscribe(serviceKind, ({ type, object, previous }) => {
    if (previous) networking.release(holdingsOf(previous));
    if (type === 'DELETED') {
      if (!previous) networking.release(holdingsOf(object));
      return;
    }
    networking.hold(holdingsOf(object));
    for (const release of pending.get(keyOf(object)) ?? []) release();
    pending.delete(keyOf(object));
  });
  return {
    appliesTo: isService,
    reserve: (kind: AnyKind, next: KubernetesObject, previous: KubernetesObject | undefined, dryRun: boolean) => {
      if (!isService(kind)) return undefined;
      const taken = networking.allocate(next as Service, previous as Service | undefined);
      let isReleased = false;
      const release = (): void => {
        if (!isReleased) networking.release(taken);
        isReleased = true;
      };
      if (dryRun) {
        release();
        return undefined;
      }
      if (taken.addresses.length + taken.ports.length === 0) return { release };
      releases.set(next, release);
      return { release, guard: { key: GUARD_KEY, isExclusive: () => networking.isExclusive(taken) } };
    },
    settle: (kind: AnyKind, next: KubernetesObject | undefined) => {
      const release = next && isService(kind) ? releases.get(next) : undefined;
      if (!next || !release) return;
      const key = keyOf(next);
      const known = objects.cached(serviceKind, next.metadata.namespace ?? '', next.metadata.name);
      const isTold = known !== undefined && holdsAll(known, next as Service);
      if (isTold) release();
      else pending.set(key, [...(pending.get(key) ?? []), release]);
    },
  };
}

function holdsAll(known: Readonly<Service>, wanted: Service): boolean {
  const has = holdingsOf(known);
  const needs = holdingsOf(wanted);
  return known.metadata.uid === wanted.metadata.uid && needs.addresses.every((one) => has.addresses.includes(one)) && needs.ports.every((one) => has.ports.includes(one));
}
