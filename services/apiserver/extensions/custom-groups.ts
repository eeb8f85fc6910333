// APIServices of groups that come with CustomResourceDefinitions: made with the first definition, taken away with the last.
// Source: kube-apiserver pkg/controlplane/controller/crdregistration; kube-aggregator pkg/controllers/autoregister.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import { customResourceDefinitionKind } from '#lib/kinds/apiextensions/custom-resource-definition.ts';
import { apiServiceKind } from '#lib/kinds/apiregistration/api-service.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { isNotFound } from '#lib/machinery/status-error.ts';
import { AUTOMANAGED, localApiServices, type LocalGroupVersion } from '../core/api-services.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import { asServer, ensure } from '../edge/hooks/ensure.ts';
import type { ObjectStore } from '../edge/object-store.ts';

const RETRY_MS = 1_000;

export interface CustomGroupsOptions {
  readonly store: ObjectStore;
  readonly objects: ObjectReader;
  /** Built in: their APIServices are none of this. */
  readonly served: readonly LocalGroupVersion[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** Keeps them in step until `signal` aborts. */
export function registerCustomGroups({ store, objects, served, clock, log, signal }: CustomGroupsOptions): void {
  const builtIn = new Set(localApiServices(served).map(({ metadata }) => metadata.name));
  let state: 'idle' | 'running' | 'again' = 'idle';

  const synchronize = async (): Promise<void> => {
    const wanted = objects.listCached(customResourceDefinitionKind).flatMap(({ spec }) => spec.versions.filter((one) => one.served).map(({ name }) => ({ group: spec.group, version: name })));
    const desired = localApiServices(wanted).filter(({ metadata }) => !builtIn.has(metadata.name));
    const names = new Set(desired.map(({ metadata }) => metadata.name));
    const obsolete = objects.listCached(apiServiceKind).filter(({ metadata, spec }) => metadata.labels?.[AUTOMANAGED] === 'true' && !spec.service && !names.has(metadata.name) && !builtIn.has(metadata.name));
    for (const one of desired) await ensure({ store, objects }, apiServiceKind, one);
    for (const { metadata: { name, uid } } of obsolete) {
      await store.delete(anyKind(apiServiceKind), '', name, uid === undefined ? {} : { preconditions: { uid } }, asServer).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
    }
  };
  const run = async (): Promise<void> => {
    do {
      state = 'running';
      try {
        await synchronize();
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ err: error }, 'cannot register the groups of custom resources, trying again');
        await clock.sleep(RETRY_MS, signal).catch(() => undefined);
        state = 'again';
      }
    } while (!signal.aborted && (state as string) === 'again');
    state = 'idle';
  };
  const wake = (): void => {
    if (state !== 'idle') state = 'again';
    else void run();
  };
  const stops = [
    objects.subscribe(customResourceDefinitionKind, wake),
    objects.subscribe(apiServiceKind, ({ type, object }) => { // whoever deletes one gets it back
      if (type === 'DELETED' && object.metadata.labels?.[AUTOMANAGED] === 'true') wake();
    }),
  ];
  signal.addEventListener('abort', () => stops.forEach((stop) => stop()), { once: true });
  wake();
}
