// Subresources that do something of their own: scale, binding, eviction, finalize.
import type { AnyKind, Kind, KubernetesObject, ScaleRules } from '#lib/kinds/define-kind.ts';
import { anyKind } from '#lib/kinds/define-kind.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { podDisruptionBudgetKind } from '#lib/kinds/policy/pod-disruption-budget.ts';
import type { Scale } from '#lib/kinds/types/autoscaling-v1.ts';
import type { Binding, Namespace, Pod } from '#lib/kinds/types/core-v1.ts';
import type { DeleteOptions } from '#lib/kinds/types/meta-v1.ts';
import type { Eviction } from '#lib/kinds/types/policy-v1.ts';
import { badRequest, type Status } from '#lib/machinery/status-error.ts';
import type { Clock } from '#lib/environment/clock.ts';
import { trackUpdate, type OwnedKind } from '../core/apply/managed-fields.ts';
import { entriesOfScale, entriesWithScale } from '../core/apply/scale-ownership.ts';
import { budgetFor, chargeBudget, EVICTION_BODY, needsNoBudget } from '../core/pod-eviction.ts';
import { bindPod, BINDING_BODY, checkBinding } from '../core/pod-binding.ts';
import { statusRules, type UpdateRules } from '../core/lifecycle/write.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import { SCALE_BODY, toScale, withScale } from '../core/scale.ts';
import { parseDryRun } from './pipeline.ts';
import type { BodyKind } from './extension.ts';
import type { ObjectStore, WriteContext } from './object-store.ts';
import type { ApplyPatch, PatchTarget } from './patch-request.ts';

export interface SubresourceCall {
  readonly kind: AnyKind;
  readonly namespace: string;
  readonly name: string;
  readonly verb: string;
  readonly subresource: string;
  readonly body: (expected: BodyKind) => KubernetesObject;
  readonly patch: (target: PatchTarget) => ApplyPatch;
  readonly context: WriteContext;
}
export interface SubresourceAnswer {
  readonly code: number;
  readonly object: unknown;
}
export type SubresourceHandler = (call: SubresourceCall) => Promise<SubresourceAnswer>;

interface Services {
  readonly store: ObjectStore;
  readonly objects: ObjectReader;
  readonly clock: Clock;
}

const created: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };

/** The server itself is the author: nothing to check, and being bound is not a change of what was asked for. */
const ownRules: UpdateRules = { prepare: () => undefined, validate: () => [] };

const SCALE_KIND: OwnedKind = { ...SCALE_BODY, apiVersion: 'autoscaling/v1', subresources: {} };

export function scaleSubresource({ store }: Services, rules: ScaleRules<KubernetesObject>): SubresourceHandler {
  return async ({ kind, namespace, name, verb, subresource, body, patch, context }) => {
    if (verb === 'get') return { code: 200, object: toScale(rules, (await store.get(kind, namespace, name)).object) };
    const apply = verb === 'patch' ? patch(SCALE_BODY) : undefined;
    const replacement = apply ? undefined : body(SCALE_BODY);
    const { entry } = await store.update({
      kind, namespace, name, subresource, ownership: 'settled',
      change: (current) => {
        const object = current as KubernetesObject;
        const before: Scale = toScale(rules, object);
        before.metadata.managedFields = entriesOfScale(object.metadata.managedFields);
        const after = (apply ? apply(before) : structuredClone(replacement)) as Scale;
        if (!apply?.isApply) trackUpdate(before, after, { ...store.fieldWrite(kind, subresource, context), kind: SCALE_KIND, versions: [] });
        const next = withScale(kind, rules, object, after);
        next.metadata.managedFields = entriesWithScale(object.metadata.managedFields, after.metadata.managedFields, kind.apiVersion);
        return next;
      },
    }, context);
    return { code: 200, object: toScale(rules, entry.object) };
  };
}

function binding({ store, clock }: Services): SubresourceHandler {
  return async ({ kind, namespace, name, body, context }) => {
    const wanted = body(BINDING_BODY) as Binding;
    const podName = name === '' ? wanted.metadata.name : name;
    if (wanted.metadata.name !== podName) throw badRequest('name in URL does not match name in Binding object');
    checkBinding(wanted);
    await store.update({ kind, namespace, name: podName, subresource: 'binding', rules: ownRules, ownership: 'settled', change: (pod) => bindPod(pod as Pod, wanted, clock.nowMs()) }, context);
    return { code: 201, object: created };
  };
}

function eviction({ store, objects, clock }: Services): SubresourceHandler {
  return async ({ namespace, name, body, context }) => {
    const { metadata, deleteOptions = {} } = body(EVICTION_BODY) as Eviction;
    if (metadata.name !== name) throw badRequest('name in URL does not match name in Eviction object');
    const dryRun = context.dryRun || parseDryRun(deleteOptions.dryRun ?? [], 'DeleteOptions');
    const pod = (await store.get(anyKind(podKind as Kind<Pod>), namespace, name)).object as Pod;
    const budget = needsNoBudget(pod) ? undefined : budgetFor(pod, objects.listCached(podDisruptionBudgetKind, namespace));
    if (budget) {
      await store.update({
        kind: anyKind(podDisruptionBudgetKind), namespace, name: budget.metadata.name, subresource: 'status', rules: statusRules, ownership: 'settled',
        change: (current) => chargeBudget(current as typeof budget, name, clock.nowMs()),
      }, { ...context, dryRun });
    }
    // the pod that was judged is the one to go, not one of the same name
    const options: DeleteOptions = { ...deleteOptions, preconditions: { ...deleteOptions.preconditions, uid: deleteOptions.preconditions?.uid ?? pod.metadata.uid } };
    await store.delete(anyKind(podKind), namespace, name, options, { ...context, dryRun });
    return { code: 201, object: created };
  };
}

const finalizeRules: UpdateRules = {
  prepare: (_kind, next, previous) => {
    const { spec } = next as Namespace;
    const finalizers = spec?.finalizers ?? [];
    Object.assign(next, previous, { metadata: { ...previous.metadata }, spec: finalizers.length === 0 ? {} : { finalizers } });
  },
  validate: () => [],
};

function finalize({ store }: Services): SubresourceHandler {
  return async ({ kind, namespace, name, body, context }) => {
    const wanted = body(kind);
    const { entry } = await store.update({ kind, namespace, name, subresource: 'finalize', rules: finalizeRules, change: () => structuredClone(wanted) }, context);
    return { code: 200, object: entry.object };
  };
}

/** By `group/plural/subresource`. */
export function podAndNamespaceSubresources(services: Services): ReadonlyMap<string, SubresourceHandler> {
  return new Map([['/pods/binding', binding(services)], ['/pods/eviction', eviction(services)], ['/namespaces/finalize', finalize(services)]]);
}
