// Every controller, on by default. A new one: its folder, its test, one line here.
import type { ApiClient } from '#lib/api-client/client.ts';
import type { Controller } from '#lib/controller/define-controller.ts';
import type { Flags } from '#lib/service/flags.ts';
import type { controllerManagerFlags } from '../flags.ts';
import { csrApprovingController } from './certificates/approver.ts';
import { csrCleanerController } from './certificates/cleaner.ts';
import { csrSigningController } from './certificates/signer.ts';
import { signingFiles } from './certificates/signing-files.ts';
import { clusterRoleAggregation } from './clusterrole-aggregation/controller.ts';
import { cronJobController } from './cronjob/controller.ts';
import { daemonSetController } from './daemonset/controller.ts';
import { deploymentController } from './deployment/controller.ts';
import { disruptionControllers } from './disruption/controller.ts';
import { endpointsController } from './endpoints/controller.ts';
import { endpointSliceMirroringController } from './endpointslice-mirroring/controller.ts';
import { endpointSliceController } from './endpointslice/controller.ts';
import { ephemeralVolumeController } from './ephemeral-volume/controller.ts';
import { garbageCollector } from './garbage-collector/controller.ts';
import { localPathProvisioner } from './local-path-provisioner/controller.ts';
import { horizontalPodAutoscalerController } from './horizontal-pod-autoscaler/controller.ts';
import { ingressAddonController } from './ingress-addon/controller.ts';
import { jobController } from './job/controller.ts';
import { namespaceController } from './namespace/controller.ts';
import { nodeIpamController } from './node-ipam/controller.ts';
import { nodeLifecycleControllers } from './node-lifecycle/controller.ts';
import { persistentVolumeBinder } from './persistentvolume-binder/controller.ts';
import { persistentVolumeExpander } from './persistentvolume-expander/controller.ts';
import { persistentVolumeProtection } from './persistentvolume-protection/controller.ts';
import { persistentVolumeClaimProtection } from './persistentvolumeclaim-protection/controller.ts';
import { podGcController } from './pod-gc/controller.ts';
import { replicaSetController } from './replicaset/controller.ts';
import { replicationControllerController } from './replicationcontroller/controller.ts';
import { resourceQuotaController } from './resourcequota/controller.ts';
import { rootCaPublisher } from './root-ca-publisher/controller.ts';
import { serviceAccountController } from './serviceaccount/controller.ts';
import { serviceAccountTokenController } from './serviceaccount-token/controller.ts';
import type { TokenSigner } from './serviceaccount-token/secret-token.ts';
import { statefulSetController } from './statefulset/controller.ts';
import { taintEvictionController } from './taint-eviction/controller.ts';
import { ttlAfterFinishedController } from './ttl-after-finished/controller.ts';
import { ttlController } from './ttl/controller.ts';

export interface ControllerSettings {
  readonly flags: Flags<typeof controllerManagerFlags>;
  /** Contents of --root-ca-file; empty: nothing is published. */
  readonly rootCaPem: string;
  /** The process's own client. */
  readonly api: ApiClient;
  /** Undefined without --service-account-private-key-file: token secrets stay empty then. */
  readonly signer: TokenSigner | undefined;
  /** Asks for metadata of objects only. */
  readonly metadataApi: ApiClient;
}

export function allControllers({ flags, rootCaPem, metadataApi, api, signer }: ControllerSettings): Controller[] {
  const maskBits = flags.nodeCidrMaskSizeIpv4 || flags.nodeCidrMaskSize || 24;
  return [
    replicaSetController(flags.concurrentReplicasetSyncs),
    deploymentController(flags.concurrentDeploymentSyncs),
    daemonSetController(flags.concurrentDaemonsetSyncs),
    statefulSetController(flags.concurrentStatefulsetSyncs),
    jobController(flags.concurrentJobSyncs),
    cronJobController(flags.concurrentCronJobSyncs),
    ttlAfterFinishedController(flags.concurrentTtlAfterFinishedSyncs),
    replicationControllerController(flags.concurrentRcSyncs),
    resourceQuotaController(flags.concurrentResourceQuotaSyncs, flags.resourceQuotaSyncPeriodMs),
    endpointSliceMirroringController(flags.mirroringConcurrentServiceEndpointSyncs, flags.mirroringMaxEndpointsPerSubset),
    ingressAddonController(),
    csrApprovingController(),
    csrSigningController({ files: signingFiles(flags), longestMs: flags.clusterSigningDurationMs }),
    csrCleanerController(),
    horizontalPodAutoscalerController({
      workers: flags.concurrentHorizontalPodAutoscalerSyncs, periodMs: flags.horizontalPodAutoscalerSyncPeriodMs,
      downscaleStabilizationMs: flags.horizontalPodAutoscalerDownscaleStabilizationMs, tolerance: flags.horizontalPodAutoscalerTolerance,
      cpuInitializationMs: flags.horizontalPodAutoscalerCpuInitializationPeriodMs, initialReadinessDelayMs: flags.horizontalPodAutoscalerInitialReadinessDelayMs,
    }),
    ...nodeLifecycleControllers({
      monitorPeriodMs: flags.nodeMonitorPeriodMs, monitorGraceMs: flags.nodeMonitorGracePeriodMs, startupGraceMs: flags.nodeStartupGracePeriodMs,
      evictionRate: flags.nodeEvictionRate, secondaryEvictionRate: flags.secondaryNodeEvictionRate,
      largeClusterSize: flags.largeClusterSizeThreshold, unhealthyShare: flags.unhealthyZoneThreshold,
    }),
    taintEvictionController(),
    ...(flags.allocateNodeCidrs && flags.clusterCidr !== '' ? [nodeIpamController({ clusterCidr: flags.clusterCidr, maskBits, serviceCidrs: flags.serviceClusterIpRange.split(',') })] : []),
    ttlController(),
    endpointSliceController(flags.concurrentServiceEndpointSyncs, flags.maxEndpointsPerSlice, flags.endpointsliceUpdatesBatchPeriodMs),
    endpointsController(flags.concurrentEndpointSyncs, flags.endpointUpdatesBatchPeriodMs),
    serviceAccountController,
    ...(signer ? [serviceAccountTokenController({ api, signer, rootCaPem, workers: flags.concurrentServiceaccountTokenSyncs })] : []),
    namespaceController(flags.concurrentNamespaceSyncs),
    podGcController(flags.terminatedPodGcThreshold),
    ...disruptionControllers(),
    clusterRoleAggregation,
    ...persistentVolumeBinder(flags.pvclaimbinderSyncPeriodMs),
    ephemeralVolumeController(),
    persistentVolumeProtection(),
    persistentVolumeClaimProtection(),
    persistentVolumeExpander(),
    ...localPathProvisioner(),
    ...(flags.enableGarbageCollector ? [garbageCollector({ workers: flags.concurrentGcSyncs, metadataApi })] : []),
    ...(rootCaPem === '' ? [] : [rootCaPublisher(rootCaPem)]),
  ];
}

/** Source: IsControllerEnabled: the first mention of a name decides, then '*'. */
export function isEnabled(name: string, choices: readonly string[]): boolean {
  for (const choice of choices) {
    if (choice === name) return true;
    if (choice === `-${name}`) return false;
  }
  return choices.includes('*');
}
