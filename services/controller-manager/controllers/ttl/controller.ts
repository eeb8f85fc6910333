// Tells kubelets by an annotation how long they may cache Secrets and ConfigMaps: the longer, the larger the cluster.
// Source: pkg/controller/ttl/ttl_controller.go.
import { defineController, done, mapped, type Controller } from '#lib/controller/define-controller.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';

export const TTL_ANNOTATION = 'node.alpha.kubernetes.io/ttl';

/** Nodes at least and at most, and the seconds; ranges overlap so that a cluster at an edge does not flap. */
const STEPS = [
  { min: 0, max: 100, seconds: 0 },
  { min: 90, max: 500, seconds: 15 },
  { min: 450, max: 1000, seconds: 30 },
  { min: 900, max: 2000, seconds: 60 },
  { min: 1800, max: Infinity, seconds: 300 },
] as const;

/** The step for a number of nodes, starting from the present one. */
export function nextStep(current: number, nodes: number): number {
  let step = current;
  while (nodes > (STEPS[step]?.max ?? Infinity)) step += 1;
  while (nodes < (STEPS[step]?.min ?? 0)) step -= 1;
  return step;
}
export const secondsOf = (step: number): number => STEPS[step]?.seconds ?? 0;

export function ttlController(): Controller {
  let step = 0;
  return defineController({
    name: 'ttl-controller',
    queueName: 'ttlcontroller',
    reconciles: nodeKind,
    isRelevantUpdate: (next) => next.metadata.annotations?.[TTL_ANNOTATION] !== String(secondsOf(step)),
    alsoWatches: [mapped(nodeKind, (_, cache) => {
      const before = step;
      step = nextStep(step, cache.list(nodeKind).length);
      return step === before ? [] : cache.list(nodeKind).map(({ metadata }) => metadata.name);
    }, { isRelevantUpdate: () => false })],
    workers: 1,
    async reconcile({ name }, { cache, api }) {
      const node = cache.get(nodeKind, undefined, name);
      const wanted = String(secondsOf(step));
      if (!node || node.metadata.annotations?.[TTL_ANNOTATION] === wanted) return done;
      await api.patch(nodeKind, undefined, name, { metadata: { annotations: { [TTL_ANNOTATION]: wanted } } });
      return done;
    },
  });
}
