// Which admission plugins run, in upstream's order. Source: pkg/kubeapiserver/options/plugins.go.
import type { Clock } from '#lib/environment/clock.ts';
import type { Random } from '#lib/environment/random.ts';
import type { Authorizer } from '../access.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { AdmissionPlugin } from './admission.ts';
import { alwaysPullImages } from './always-pull-images.ts';
import { certificateApproval, certificateRequester, certificateSigning, certificateSubjectRestriction } from './certificates.ts';
import { defaultIngressClass } from './default-ingress-class.ts';
import { defaultTolerationSeconds, type DefaultTolerations } from './default-toleration-seconds.ts';
import { limitRanger } from './limit-ranger.ts';
import { namespaceLifecycle } from './namespace-lifecycle.ts';
import { nodeRestriction } from './node-restriction.ts';
import { podSecurity } from './pod-security/pod-security.ts';
import { priority } from './priority.ts';
import { resourceQuota, type ChargeQuota } from './resource-quota.ts';
import { runtimeClassAdmission } from './runtime-class.ts';
import { serviceAccountAdmission } from './service-account.ts';
import { defaultStorageClass, persistentVolumeClaimResize, storageObjectInUseProtection } from './storage.ts';
import { taintNodesByCondition } from './taint-nodes-by-condition.ts';

const OFF_BY_DEFAULT: ReadonlySet<string> = new Set(['NodeRestriction', 'AlwaysPullImages']);

/** Upstream's plugins that do nothing here yet: their names are accepted. */
const ACCEPTED: ReadonlySet<string> = new Set([
  'AlwaysAdmit', 'ClusterTrustBundleAttest', 'PodTopologyLabels', 'MutatingAdmissionPolicy', 'MutatingAdmissionWebhook', 'ValidatingAdmissionPolicy',
  'ValidatingAdmissionWebhook', 'NodeDeclaredFeatureValidator', 'PodResizeValidator', 'JobValidation', 'PodGroupProtection', 'PodGroupWorkloadExists',
]);

export interface AdmissionOptions {
  readonly objects: ObjectReader;
  readonly authorizer: Authorizer;
  readonly chargeQuota: ChargeQuota;
  readonly clock: Clock;
  readonly random: Random;
  readonly tolerations: DefaultTolerations;
  readonly enabled: readonly string[];
  readonly disabled: readonly string[];
}

/** Throws for a name that upstream does not know either. */
export function admissionPlugins({ objects, authorizer, chargeQuota, clock, random, tolerations, enabled, disabled }: AdmissionOptions): readonly AdmissionPlugin[] {
  const all = [
    namespaceLifecycle(objects), limitRanger(objects), serviceAccountAdmission({ objects, clock, random }), nodeRestriction(objects), taintNodesByCondition,
    alwaysPullImages, podSecurity(objects), priority(objects), defaultTolerationSeconds(tolerations), defaultStorageClass(objects), storageObjectInUseProtection,
    persistentVolumeClaimResize(objects), runtimeClassAdmission(objects), certificateApproval(authorizer), certificateSigning(authorizer),
    certificateSubjectRestriction, defaultIngressClass(objects), resourceQuota({ objects, clock, charge: chargeQuota }),
  ];
  const unknown = [...enabled, ...disabled].find((name) => !ACCEPTED.has(name) && !all.some((plugin) => plugin.name === name));
  if (unknown !== undefined) throw new Error(`enable-admission-plugins plugin "${unknown}" is unknown`);
  return [certificateRequester, ...all.filter(({ name }) => (!OFF_BY_DEFAULT.has(name) || enabled.includes(name)) && !disabled.includes(name))];
}
