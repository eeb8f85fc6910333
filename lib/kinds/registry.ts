// Every kind that the API server serves. A new kind: its file, its test, one line here.
import { anyKind, type AnyKind } from './define-kind.ts';
import { blockAffinityKind } from './calico/block-affinity.ts';
import { ipPoolKind } from './calico/ip-pool.ts';
import { customResourceDefinitionKind } from './apiextensions/custom-resource-definition.ts';
import { componentStatusKind } from './core/component-status.ts';
import { configMapKind } from './core/config-map.ts';
import { endpointsKind } from './core/endpoints.ts';
import { eventKind } from './core/event.ts';
import { namespaceKind } from './core/namespace.ts';
import { nodeKind } from './core/node.ts';
import { podKind } from './core/pod.ts';
import { secretKind } from './core/secret.ts';
import { serviceAccountKind } from './core/service-account.ts';
import { serviceKind } from './core/service.ts';
import { controllerRevisionKind } from './apps/controller-revision.ts';
import { daemonSetKind } from './apps/daemon-set.ts';
import { deploymentKind } from './apps/deployment.ts';
import { replicaSetKind } from './apps/replica-set.ts';
import { eventsEventKind } from './events/event.ts';
import { selfSubjectReviewKind } from './authentication/self-subject-review.ts';
import { tokenReviewKind } from './authentication/token-review.ts';
import { localSubjectAccessReviewKind } from './authorization/local-subject-access-review.ts';
import { selfSubjectAccessReviewKind } from './authorization/self-subject-access-review.ts';
import { selfSubjectRulesReviewKind } from './authorization/self-subject-rules-review.ts';
import { subjectAccessReviewKind } from './authorization/subject-access-review.ts';
import { podDisruptionBudgetKind } from './policy/pod-disruption-budget.ts';
import { clusterRoleBindingKind } from './rbac/cluster-role-binding.ts';
import { clusterRoleKind } from './rbac/cluster-role.ts';
import { roleBindingKind } from './rbac/role-binding.ts';
import { roleKind } from './rbac/role.ts';
import { priorityClassKind } from './scheduling/priority-class.ts';
import { leaseKind } from './coordination/lease.ts';
import { endpointSliceKind } from './discovery/endpoint-slice.ts';
import { limitRangeKind } from './core/limit-range.ts';
import { persistentVolumeKind } from './core/persistent-volume.ts';
import { persistentVolumeClaimKind } from './core/persistent-volume-claim.ts';
import { podTemplateKind } from './core/pod-template.ts';
import { replicationControllerKind } from './core/replication-controller.ts';
import { resourceQuotaKind } from './core/resource-quota.ts';
import { statefulSetKind } from './apps/stateful-set.ts';
import { horizontalPodAutoscalerKind } from './autoscaling/horizontal-pod-autoscaler.ts';
import { horizontalPodAutoscalerV1Kind } from './autoscaling/horizontal-pod-autoscaler-v1.ts';
import { cronJobKind } from './batch/cron-job.ts';
import { jobKind } from './batch/job.ts';
import { certificateSigningRequestKind } from './certificates/certificate-signing-request.ts';
import { apiServiceKind } from './apiregistration/api-service.ts';
import { ingressKind } from './networking/ingress.ts';
import { ingressClassKind } from './networking/ingress-class.ts';
import { ipAddressKind } from './networking/ip-address.ts';
import { networkPolicyKind } from './networking/network-policy.ts';
import { serviceCidrKind } from './networking/service-cidr.ts';
import { runtimeClassKind } from './node/runtime-class.ts';
import { csiDriverKind } from './storage/csi-driver.ts';
import { csiNodeKind } from './storage/csi-node.ts';
import { csiStorageCapacityKind } from './storage/csi-storage-capacity.ts';
import { storageClassKind } from './storage/storage-class.ts';
import { volumeAttachmentKind } from './storage/volume-attachment.ts';
import { volumeAttributesClassKind } from './storage/volume-attributes-class.ts';
import { flowSchemaKind } from './flowcontrol/flow-schema.ts';
import { priorityLevelConfigurationKind } from './flowcontrol/priority-level-configuration.ts';

export const allKinds: readonly AnyKind[] = [
  anyKind(customResourceDefinitionKind),
  anyKind(componentStatusKind),
  anyKind(configMapKind),
  anyKind(endpointsKind),
  anyKind(eventKind),
  anyKind(namespaceKind),
  anyKind(nodeKind),
  anyKind(podKind),
  anyKind(secretKind),
  anyKind(serviceAccountKind),
  anyKind(serviceKind),
  anyKind(controllerRevisionKind),
  anyKind(daemonSetKind),
  anyKind(deploymentKind),
  anyKind(replicaSetKind),
  anyKind(eventsEventKind),
  anyKind(selfSubjectReviewKind),
  anyKind(tokenReviewKind),
  anyKind(localSubjectAccessReviewKind),
  anyKind(selfSubjectAccessReviewKind),
  anyKind(selfSubjectRulesReviewKind),
  anyKind(subjectAccessReviewKind),
  anyKind(podDisruptionBudgetKind),
  anyKind(clusterRoleBindingKind),
  anyKind(clusterRoleKind),
  anyKind(roleBindingKind),
  anyKind(roleKind),
  anyKind(priorityClassKind),
  anyKind(leaseKind),
  anyKind(endpointSliceKind),
  anyKind(limitRangeKind),
  anyKind(persistentVolumeKind),
  anyKind(persistentVolumeClaimKind),
  anyKind(podTemplateKind),
  anyKind(replicationControllerKind),
  anyKind(resourceQuotaKind),
  anyKind(statefulSetKind),
  anyKind(horizontalPodAutoscalerKind),
  anyKind(horizontalPodAutoscalerV1Kind),
  anyKind(cronJobKind),
  anyKind(jobKind),
  anyKind(certificateSigningRequestKind),
  anyKind(apiServiceKind),
  anyKind(ingressKind),
  anyKind(ingressClassKind),
  anyKind(ipAddressKind),
  anyKind(networkPolicyKind),
  anyKind(serviceCidrKind),
  anyKind(runtimeClassKind),
  anyKind(csiDriverKind),
  anyKind(csiNodeKind),
  anyKind(csiStorageCapacityKind),
  anyKind(storageClassKind),
  anyKind(volumeAttachmentKind),
  anyKind(volumeAttributesClassKind),
  anyKind(flowSchemaKind),
  anyKind(priorityLevelConfigurationKind),
  anyKind(blockAffinityKind),
  anyKind(ipPoolKind),
];
