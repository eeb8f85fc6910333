// Subresources that take the whole object and let only a part of it change.
// Source: pkg/registry/core/pod/strategy.go, pkg/registry/certificates/certificates/strategy.go, pkg/apis/core/validation.
import { qosClassOf } from '#lib/kinds/core/pod-qos.ts';
import { goDiff } from '#lib/kinds/core/spec-diff.ts';
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '#lib/kinds/types/certificates-v1.ts';
import type { Container, EphemeralContainer, Pod, ResourceRequirements } from '#lib/kinds/types/core-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { duplicate, forbidden, invalid, notSupported, type FieldError } from '#lib/machinery/field-error.ts';
import { parseQuantity } from '#lib/machinery/quantity.ts';
import { raiseGeneration, statusRules, type UpdateRules } from './lifecycle/write.ts';

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** Makes `next` what is stored, with the spec given. */
function becomePrevious(next: Pod, previous: Pod, spec: Pod['spec']): void {
  const { resourceVersion, managedFields } = next.metadata;
  for (const key of Object.keys(next)) delete (next as unknown as Record<string, unknown>)[key];
  Object.assign(next, previous, { metadata: { ...previous.metadata, resourceVersion, ...(managedFields === undefined ? {} : { managedFields }) }, spec });
}

const rulesOf = <T>(prepare: (next: T, previous: T, kind: AnyKind) => void, validate: (next: T, previous: T, kind: AnyKind) => FieldError[]): UpdateRules => ({
  prepare: (kind, next, previous) => prepare(next as T, previous as T, kind), validate: (kind, next, previous) => validate(next as T, previous as T, kind),
});

const ephemeralContainers = rulesOf<Pod>(
  (next, previous, kind) => {
    const asked = next.spec?.ephemeralContainers;
    const { ephemeralContainers: _, ...rest } = previous.spec;
    becomePrevious(next, previous, asked === undefined ? rest : { ...rest, ephemeralContainers: asked });
    raiseGeneration(kind, next, previous);
  },
  (next, previous, kind) => {
    const path = 'spec.ephemeralContainers';
    if (previous.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined) return [forbidden('', 'static pods do not support ephemeral containers')];
    const own = new Map((next.spec.ephemeralContainers ?? []).map((one: EphemeralContainer) => [one.name, one]));
    const kept = (previous.spec.ephemeralContainers ?? []).flatMap((old) => {
      const now = own.get(old.name);
      if (!now) return [forbidden(path, `existing ephemeral containers ${JSON.stringify(old.name)} may not be removed\n`)];
      return semanticEqual(now, old) ? [] : [forbidden(path, `existing ephemeral containers ${JSON.stringify(old.name)} may not be changed\n${goDiff(old, now, 'core.EphemeralContainer')}`)];
    });
    return [...(kind.validate?.(next) ?? []).filter(({ field }) => field.startsWith(path)), ...kept];
  },
);

type Lists = 'containers' | 'initContainers';
const isSidecar = ({ restartPolicy }: Container): boolean => restartPolicy === 'Always';
const sameNames = (left: readonly Container[], right: readonly Container[]): boolean => left.length === right.length && left.every(({ name }, index) => name === right[index]?.name);

/** Old containers with new resources; as they were sent where they are not the same containers, for validation to say so. */
function resizedList(next: readonly Container[] | undefined, previous: readonly Container[] | undefined): Container[] | undefined {
  if (!previous || !next || !sameNames(next, previous)) return next && [...next];
  return previous.map((old, index) => {
    const { resources, resizePolicy, ...rest } = old;
    const asked = next[index];
    const policy = asked?.resizePolicy ?? resizePolicy;
    return { ...rest, ...(asked?.resources === undefined ? {} : { resources: asked.resources }), ...(policy === undefined ? {} : { resizePolicy: policy }) } as Container;
  });
}

function sameAmount(left: string | undefined, right: string | undefined): boolean {
  if (left === undefined || right === undefined) return left === right;
  return left === right || parseQuantity(left).nanos === parseQuantity(right).nanos;
}

/** Both sides without processor and memory, whose amounts may change. */
function withoutResizable({ requests, limits, ...rest }: ResourceRequirements = {}): unknown {
  const others = (list: Readonly<Record<string, string>> = {}) => Object.fromEntries(Object.entries(list).filter(([name]) => name !== 'cpu' && name !== 'memory'));
  return { ...rest, requests: others(requests), limits: others(limits) };
}

function removedResources(next: Container, previous: Container, path: string): FieldError[] {
  const isGone = (part: 'requests' | 'limits'): boolean => Object.keys(previous.resources?.[part] ?? {}).some((name) => next.resources?.[part]?.[name] === undefined);
  return [
    ...(isGone('requests') ? [forbidden(`${path}.resources.requests`, 'resource requests cannot be removed')] : []),
    ...(isGone('limits') ? [forbidden(`${path}.resources.limits`, 'resource limits cannot be removed')] : []),
  ];
}

function resizeListErrors(list: Lists, next: readonly Container[], previous: readonly Container[]): FieldError[] {
  if (next.length !== previous.length) return [forbidden(`spec.${list}`, `${list} may not be added or removed on resize`)];
  return next.flatMap((container, index) => {
    const old = previous[index];
    const path = `spec.${list}[${index}]`;
    if (!old || old.name !== container.name) return [forbidden(`${path}.name`, `${list} may not be renamed or reordered on resize`)];
    if (list === 'initContainers' && !isSidecar(old)) {
      const isSame = (['requests', 'limits'] as const).every((part) => ['cpu', 'memory'].every((name) => sameAmount(container.resources?.[part]?.[name], old.resources?.[part]?.[name])));
      return isSame && semanticEqual(withoutResizable(container.resources), withoutResizable(old.resources)) ? [] : [forbidden('spec', 'resources for non-sidecar init containers are immutable')];
    }
    if (!semanticEqual(withoutResizable(container.resources), withoutResizable(old.resources)) || !semanticEqual(container.resizePolicy, old.resizePolicy)) {
      return [forbidden(list === 'containers' ? 'spec' : path, list === 'containers' ? 'only cpu and memory resources are mutable' : 'only cpu and memory resources for init or sidecar containers are mutable')];
    }
    return removedResources(container, old, path);
  });
}

/** A node that can change a running container's resources tells what they are. */
function isResizable({ status }: Readonly<Pod>): boolean {
  const running = status?.containerStatuses?.find(({ state }) => state?.running !== undefined);
  return running === undefined || running.resources !== undefined;
}

const resize = rulesOf<Pod>(
  (next, previous, kind) => {
    const { containers, initContainers } = next.spec ?? {};
    const spec = { ...previous.spec, containers: resizedList(containers, previous.spec.containers) ?? [] };
    const init = resizedList(initContainers, previous.spec.initContainers);
    if (init === undefined) delete spec.initContainers;
    else spec.initContainers = init;
    becomePrevious(next, previous, spec);
    raiseGeneration(kind, next, previous);
  },
  (next, previous, kind) => {
    if (previous.metadata.annotations?.[MIRROR_ANNOTATION] !== undefined) return [forbidden('', 'static pods cannot be resized')];
    if (previous.spec.os?.name === 'windows') return [forbidden('', 'windows pods cannot be resized')];
    const lists = [
      ...resizeListErrors('containers', next.spec.containers, previous.spec.containers), ...resizeListErrors('initContainers', next.spec.initContainers ?? [], previous.spec.initContainers ?? []),
    ];
    if (lists.length > 0) return lists;
    const errors = (kind.validate?.(next) ?? []).filter(({ field }) => field.startsWith('spec.containers') || field.startsWith('spec.initContainers'));
    if (errors.length > 0) return errors;
    const qosClass = qosClassOf(next);
    if (qosClass !== qosClassOf(previous)) errors.push(invalid('spec', qosClass, 'Pod QOS Class may not change as a result of resizing'));
    if (!isResizable(previous)) errors.push(forbidden('spec', 'Pod running on node without support for resize'));
    return errors;
  },
);

const DECISIONS: ReadonlySet<string> = new Set(['Approved', 'Denied']);

function conditionErrors(next: readonly CertificateSigningRequestCondition[], previous: readonly CertificateSigningRequestCondition[]): FieldError[] {
  const path = 'status.conditions';
  const seen = new Set<string>();
  const errors = next.flatMap(({ type, status }, index): FieldError[] => {
    const at = `${path}[${index}]`;
    const found: FieldError[] = [];
    if (!type) found.push({ type: 'FieldValueRequired', field: `${at}.type`, body: 'Required value' });
    if ((DECISIONS.has(type) || type === 'Failed') && status !== 'True') found.push(notSupported(`${at}.status`, status, ['True']));
    if (seen.has(type)) found.push(duplicate(`${at}.type`, type));
    if (DECISIONS.has(type) && [...seen].some((other) => DECISIONS.has(other) && other !== type)) found.push(invalid(`${at}.type`, type, 'Approved and Denied conditions are mutually exclusive'));
    seen.add(type);
    return found;
  });
  for (const { type } of previous) {
    if ((DECISIONS.has(type) || type === 'Failed') && !next.some((one) => one.type === type)) errors.push(forbidden(path, `updates may not remove a condition of type ${JSON.stringify(type)}`));
  }
  return errors;
}

const approval = (now: () => string): UpdateRules => rulesOf<CertificateSigningRequest>(
  (next, previous) => {
    const time = now();
    const asked = next.status?.conditions ?? [];
    const conditions = asked.map((one) => ({ ...one, lastUpdateTime: one.lastUpdateTime ?? time, lastTransitionTime: one.lastTransitionTime ?? time }));
    next.spec = previous.spec;
    next.status = { ...previous.status, ...(conditions.length > 0 ? { conditions } : {}) };
    if (conditions.length === 0) delete next.status.conditions;
  },
  (next, previous) => conditionErrors(next.status?.conditions ?? [], previous.status?.conditions ?? []),
);

/** By `group/plural/subresource`; `/status` is the same for all kinds. `now`: the time as objects carry it. */
export function objectSubresources(now: () => string): (kind: AnyKind, subresource: string) => UpdateRules | undefined {
  const rules = new Map<string, UpdateRules>([
    ['/pods/ephemeralcontainers', ephemeralContainers], ['/pods/resize', resize], ['certificates.k8s.io/certificatesigningrequests/approval', approval(now)],
  ]);
  return (kind, subresource) => (subresource === 'status' ? statusRules : rules.get(`${kind.group}/${kind.plural}/${subresource}`));
}
