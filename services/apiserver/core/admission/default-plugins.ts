// Which admission plugins run, in upstream's order. Source: pkg/kubeapiserver/options/plugins.go.
import type { Clock } from '#lib/environment/clock.ts';
import type { Random } from '#lib/environment/random.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { AdmissionPlugin } from './admission.ts';
import { defaultTolerationSeconds } from './default-toleration-seconds.ts';
import { namespaceLifecycle } from './namespace-lifecycle.ts';
import { nodeRestriction } from './node-restriction.ts';
import { priority } from './priority.ts';
import { serviceAccountAdmission } from './service-account.ts';
import { taintNodesByCondition } from './taint-nodes-by-condition.ts';

const ON_BY_DEFAULT: ReadonlySet<string> = new Set(['NamespaceLifecycle', 'ServiceAccount', 'TaintNodesByCondition', 'Priority', 'DefaultTolerationSeconds']);

/** Upstream's plugins that do nothing here yet: their names are accepted. */
const ACCEPTED: ReadonlySet<string> = new Set([
  'AlwaysAdmit', 'LimitRanger', 'PodSecurity', 'DefaultStorageClass', 'StorageObjectInUseProtection', 'PersistentVolumeClaimResize', 'RuntimeClass',
  'CertificateApproval', 'CertificateSigning', 'ClusterTrustBundleAttest', 'CertificateSubjectRestriction', 'DefaultIngressClass', 'PodTopologyLabels',
  'MutatingAdmissionPolicy', 'MutatingAdmissionWebhook', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionWebhook', 'ResourceQuota', 'NodeDeclaredFeatureValidator',
  'PodResizeValidator', 'JobValidation', 'PodGroupProtection', 'PodGroupWorkloadExists',
]);

export interface AdmissionOptions {
  readonly objects: ObjectReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly enabled: readonly string[];
  readonly disabled: readonly string[];
}

/** Throws for a name that upstream does not know either. */
export function admissionPlugins({ objects, clock, random, enabled, disabled }: AdmissionOptions): readonly AdmissionPlugin[] {
  const all = [
    namespaceLifecycle(objects), serviceAccountAdmission({ objects, clock, random }), nodeRestriction(objects), taintNodesByCondition,
    priority(objects), defaultTolerationSeconds,
  ];
  const unknown = [...enabled, ...disabled].find((name) => !ACCEPTED.has(name) && !all.some((plugin) => plugin.name === name));
  if (unknown !== undefined) throw new Error(`enable-admission-plugins plugin "${unknown}" is unknown`);
  return all.filter(({ name }) => (ON_BY_DEFAULT.has(name) || enabled.includes(name)) && !disabled.includes(name));
}
