// PodSecurity: labels of a namespace say which of the Pod Security Standards its pods keep, are warned about or audited for.
// Source: pod-security-admission/{api,admission}, plugin/pkg/admission/security/podsecurity.
import { namespaceKind } from '#lib/kinds/core/namespace.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { EphemeralContainer, Namespace, Pod, PodTemplateSpec } from '#lib/kinds/types/core-v1.ts';
import { invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { invalidObject } from '#lib/machinery/status-error.ts';
import type { ObjectReader } from '../../object-reader.ts';
import { isKind, refusal, type AdmissionAttributes, type AdmissionPlugin } from '../admission.ts';
import { LEVELS, violations, type Level, type PodParts, type Violation } from './checks.ts';

const PREFIX = 'pod-security.kubernetes.io/';
const MODES = ['enforce', 'audit', 'warn'] as const;
type Mode = (typeof MODES)[number];
const MAX_PODS_CHECKED = 3000;
const IGNORED_SUBRESOURCES: ReadonlySet<string> = new Set(['exec', 'attach', 'binding', 'eviction', 'log', 'portforward', 'proxy', 'status']);

export interface LevelVersion {
  readonly level: Level;
  /** `latest` or `v1.N`. The checks are those of 1.36 whatever it says. */
  readonly version: string;
}
export type Policy = Readonly<Record<Mode, LevelVersion>>;

const isVersion = (text: string): boolean => text === 'latest' || /^v1\.(0|[1-9]\d*)$/.test(text);

/** What labels say, and what is wrong with them. A bad enforce level counts as restricted. */
export function policyOf(labels: Readonly<Record<string, string>> = {}): { readonly policy: Policy; readonly errors: FieldError[] } {
  const errors: FieldError[] = [];
  const read = (mode: Mode): LevelVersion => {
    const [key, versionKey] = [PREFIX + mode, `${PREFIX}${mode}-version`];
    let [level, version]: [Level, string] = ['privileged', 'latest'];
    const [asked, askedVersion] = [labels[key], labels[versionKey]];
    if (asked !== undefined) {
      if ((LEVELS as readonly string[]).includes(asked)) level = asked as Level;
      else {
        errors.push(invalid(`metadata.labels[${key}]`, asked, 'must be one of privileged, baseline, restricted'));
        level = mode === 'enforce' ? 'restricted' : 'privileged';
      }
    }
    if (askedVersion !== undefined) {
      if (isVersion(askedVersion)) version = askedVersion;
      else errors.push(invalid(`metadata.labels[${versionKey}]`, askedVersion, 'must be "latest" or "v1.x"'));
    }
    return { level, version };
  };
  const enforce = read('enforce');
  const audit = read('audit');
  let warn = read('warn');
  // whoever is kept to a level sees it for Deployments and the like too
  if (labels[`${PREFIX}warn`] === undefined && LEVELS.indexOf(enforce.level) > LEVELS.indexOf(warn.level)) {
    warn = { level: enforce.level, version: labels[`${PREFIX}warn-version`] === undefined ? enforce.version : warn.version };
  }
  return { policy: { enforce, audit, warn }, errors };
}

const show = ({ level, version }: LevelVersion): string => JSON.stringify(`${level}:${version}`);
export const detailOf = (found: readonly Violation[]): string => found.map(({ reason, detail }) => (detail === '' ? reason : `${reason} (${detail})`)).join(', ');

const TEMPLATED: ReadonlySet<string> = new Set(['/ReplicationController', '/PodTemplate', 'apps/ReplicaSet', 'apps/Deployment', 'apps/StatefulSet', 'apps/DaemonSet', 'batch/Job', 'batch/CronJob']);

/** The pods that an object of another kind would make. */
function templateOf({ kind, object }: AdmissionAttributes): PodParts | undefined {
  if (!TEMPLATED.has(`${kind.group}/${kind.kind}`)) return undefined;
  type Templated = KubernetesObject & { template?: PodTemplateSpec; spec?: { template?: PodTemplateSpec; jobTemplate?: { spec?: { template?: PodTemplateSpec } } } };
  const { template, spec } = object as Templated;
  const found = kind.kind === 'PodTemplate' ? template : kind.kind === 'CronJob' ? spec?.jobTemplate?.spec?.template : spec?.template;
  return found?.spec ? { metadata: found.metadata ?? {}, spec: found.spec } : undefined;
}

/** What an update may change and this plugin looks at: images, and ephemeral containers. */
function isSignificant({ spec }: Readonly<Pod>, { spec: old }: Readonly<Pod>): boolean {
  for (const list of ['containers', 'initContainers'] as const) {
    const [now, before] = [spec[list] ?? [], old[list] ?? []];
    if (now.length !== before.length || now.some(({ image }, index) => image !== before[index]?.image)) return true;
  }
  return (spec.ephemeralContainers ?? []).some(({ name, image }: EphemeralContainer) => old.ephemeralContainers?.find((one) => one.name === name)?.image !== image);
}

export function podSecurity(objects: ObjectReader): AdmissionPlugin {
  async function policyIn(namespace: string): Promise<Policy> {
    const found = objects.cached(namespaceKind, '', namespace) ?? await objects.read(namespaceKind, '', namespace);
    return policyOf(found?.metadata.labels).policy;
  }

  function evaluate(attributes: AdmissionAttributes, policy: Policy, pod: PodParts, enforces: boolean): void {
    if (enforces) {
      const bad = violations(policy.enforce.level, pod);
      if (bad.length > 0) throw refusal(attributes, `violates PodSecurity ${show(policy.enforce)}: ${detailOf(bad)}`);
    }
    const warned = violations(policy.warn.level, pod);
    if (warned.length > 0) attributes.warn?.(`would violate PodSecurity ${show(policy.warn)}: ${detailOf(warned)}`);
  }

  function checkNamespace({ operation, object, previous, warn, kind, name }: AdmissionAttributes): void {
    const next = object as Namespace;
    const { policy, errors } = policyOf(next.metadata.labels);
    if (operation === 'CREATE') {
      if (errors.length > 0) throw invalidObject(kind, next.metadata.name, errors);
      return;
    }
    const old = policyOf((previous as Namespace).metadata.labels);
    if (errors.length > 0 && JSON.stringify(errors) !== JSON.stringify(old.errors)) throw invalidObject(kind, name, errors);
    const [now, before] = [policy.enforce, old.policy.enforce];
    const isStricter = LEVELS.indexOf(now.level) > LEVELS.indexOf(before.level) || (now.version !== before.version && now.level !== 'privileged');
    if (isStricter) for (const text of existingPodWarnings(objects.listCached(podKind, name), name, now)) warn?.(text);
  }

  return {
    name: 'PodSecurity',
    validate: async (attributes) => {
      const { operation, subresource, namespace, object, previous } = attributes;
      if (operation === 'DELETE' || !object) return;
      if (isKind(attributes, '', 'Namespace')) {
        if (subresource === '') checkNamespace(attributes);
        return;
      }
      if (isKind(attributes, '', 'Pod')) {
        if (IGNORED_SUBRESOURCES.has(subresource)) return;
        if (operation === 'UPDATE' && !isSignificant(object as Pod, previous as Pod)) return;
        evaluate(attributes, await policyIn(namespace), object as Pod, true);
        return;
      }
      if (subresource !== '') return;
      const template = templateOf(attributes);
      if (template) evaluate(attributes, await policyIn(namespace), template, false);
    },
  };
}

/** Pods with the same failings are counted together. */
export function existingPodWarnings(pods: readonly Readonly<Pod>[], namespace: string, level: LevelVersion): string[] {
  const found = new Map<string, string[]>();
  for (const pod of pods.slice(0, MAX_PODS_CHECKED)) {
    const bad = violations(level.level, pod);
    if (bad.length === 0) continue;
    const text = bad.map(({ reason }) => reason).join(', ');
    found.set(text, [...(found.get(text) ?? []), pod.metadata.name]);
  }
  const lines = [...found].map(([text, names]) => {
    const [first = ''] = names.sort();
    const others = names.length - 1;
    return others === 0 ? `${first}: ${text}` : `${first} (and ${others} other ${others === 1 ? 'pod' : 'pods'}): ${text}`;
  }).sort();
  const partly = pods.length > MAX_PODS_CHECKED ? [`new PodSecurity enforce level only checked against the first ${MAX_PODS_CHECKED} of ${pods.length} existing pods`] : [];
  return lines.length === 0 ? partly : [...partly, `existing pods in namespace ${JSON.stringify(namespace)} violate the new PodSecurity enforce level ${show(level)}`, ...lines];
}
