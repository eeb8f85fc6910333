// The protobuf messages of request bodies, one a line: `DEFINITION NUMBER FIELD TYPE; NUMBER FIELD TYPE; ...`, with the types of
// lib/kinds/openapi/types.json. `?` after a type: zero is a value (a pointer in Go, or without omitempty). `^`: a struct that JSON has no level
// for. A text rather than an object: parsed when the first such body arrives, which in many clusters is never.
// Source: generated.proto and types.go of k8s.io/api and k8s.io/apimachinery.
//
// `@` stands for `io.k8s.api.`, `~` for `io.k8s.apimachinery.pkg.apis.meta.v1.`
export const MESSAGES = `
@admissionregistration.v1.ApplyConfiguration 1 expression string
@admissionregistration.v1.AuditAnnotation 1 key string?; 2 valueExpression string?
@admissionregistration.v1.ExpressionWarning 2 fieldRef string?; 3 warning string?
@admissionregistration.v1.JSONPatch 1 expression string
@admissionregistration.v1.MatchCondition 1 name string?; 2 expression string?
@admissionregistration.v1.MatchResources 1 namespaceSelector ref:~LabelSelector; 2 objectSelector ref:~LabelSelector; 3 resourceRules []ref:@admissionregistration.v1.NamedRuleWithOperations; 4 excludeResourceRules []ref:@admissionregistration.v1.NamedRuleWithOperations; 7 matchPolicy string?
@admissionregistration.v1.MutatingAdmissionPolicy 1 metadata ref:~ObjectMeta; 2 spec ref:@admissionregistration.v1.MutatingAdmissionPolicySpec
@admissionregistration.v1.MutatingAdmissionPolicyBinding 1 metadata ref:~ObjectMeta; 2 spec ref:@admissionregistration.v1.MutatingAdmissionPolicyBindingSpec
@admissionregistration.v1.MutatingAdmissionPolicyBindingSpec 1 policyName string; 2 paramRef ref:@admissionregistration.v1.ParamRef; 3 matchResources ref:@admissionregistration.v1.MatchResources
@admissionregistration.v1.MutatingAdmissionPolicySpec 1 paramKind ref:@admissionregistration.v1.ParamKind; 2 matchConstraints ref:@admissionregistration.v1.MatchResources; 3 variables []ref:@admissionregistration.v1.Variable; 4 mutations []ref:@admissionregistration.v1.Mutation; 5 failurePolicy string?; 6 matchConditions []ref:@admissionregistration.v1.MatchCondition; 7 reinvocationPolicy string
@admissionregistration.v1.MutatingWebhook 1 name string?; 2 clientConfig ref:@admissionregistration.v1.WebhookClientConfig; 3 rules []ref:@admissionregistration.v1.RuleWithOperations; 4 failurePolicy string?; 5 namespaceSelector ref:~LabelSelector; 6 sideEffects string?; 7 timeoutSeconds int32?; 8 admissionReviewVersions []string; 9 matchPolicy string?; 10 reinvocationPolicy string?; 11 objectSelector ref:~LabelSelector; 12 matchConditions []ref:@admissionregistration.v1.MatchCondition
@admissionregistration.v1.MutatingWebhookConfiguration 1 metadata ref:~ObjectMeta; 2 webhooks []ref:@admissionregistration.v1.MutatingWebhook
@admissionregistration.v1.Mutation 2 patchType string?; 3 applyConfiguration ref:@admissionregistration.v1.ApplyConfiguration; 4 jsonPatch ref:@admissionregistration.v1.JSONPatch
@admissionregistration.v1.NamedRuleWithOperations 1 resourceNames []string; 2 ruleWithOperations ref:@admissionregistration.v1.RuleWithOperations^
@admissionregistration.v1.ParamKind 1 apiVersion string; 2 kind string
@admissionregistration.v1.ParamRef 1 name string; 2 namespace string; 3 selector ref:~LabelSelector; 4 parameterNotFoundAction string?
@admissionregistration.v1.Rule 1 apiGroups []string; 2 apiVersions []string; 3 resources []string; 4 scope string?
@admissionregistration.v1.RuleWithOperations 1 operations []string; 2 rule ref:@admissionregistration.v1.Rule^
@admissionregistration.v1.ServiceReference 1 namespace string?; 2 name string?; 3 path string?; 4 port int32?
@admissionregistration.v1.TypeChecking 1 expressionWarnings []ref:@admissionregistration.v1.ExpressionWarning
@admissionregistration.v1.ValidatingAdmissionPolicy 1 metadata ref:~ObjectMeta; 2 spec ref:@admissionregistration.v1.ValidatingAdmissionPolicySpec; 3 status ref:@admissionregistration.v1.ValidatingAdmissionPolicyStatus
@admissionregistration.v1.ValidatingAdmissionPolicyBinding 1 metadata ref:~ObjectMeta; 2 spec ref:@admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec
@admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec 1 policyName string; 2 paramRef ref:@admissionregistration.v1.ParamRef; 3 matchResources ref:@admissionregistration.v1.MatchResources; 4 validationActions []string
@admissionregistration.v1.ValidatingAdmissionPolicySpec 1 paramKind ref:@admissionregistration.v1.ParamKind; 2 matchConstraints ref:@admissionregistration.v1.MatchResources; 3 validations []ref:@admissionregistration.v1.Validation; 4 failurePolicy string?; 5 auditAnnotations []ref:@admissionregistration.v1.AuditAnnotation; 6 matchConditions []ref:@admissionregistration.v1.MatchCondition; 7 variables []ref:@admissionregistration.v1.Variable
@admissionregistration.v1.ValidatingAdmissionPolicyStatus 1 observedGeneration int64; 2 typeChecking ref:@admissionregistration.v1.TypeChecking; 3 conditions []ref:~Condition
@admissionregistration.v1.ValidatingWebhook 1 name string?; 2 clientConfig ref:@admissionregistration.v1.WebhookClientConfig; 3 rules []ref:@admissionregistration.v1.RuleWithOperations; 4 failurePolicy string?; 5 namespaceSelector ref:~LabelSelector; 6 sideEffects string?; 7 timeoutSeconds int32?; 8 admissionReviewVersions []string; 9 matchPolicy string?; 10 objectSelector ref:~LabelSelector; 11 matchConditions []ref:@admissionregistration.v1.MatchCondition
@admissionregistration.v1.ValidatingWebhookConfiguration 1 metadata ref:~ObjectMeta; 2 webhooks []ref:@admissionregistration.v1.ValidatingWebhook
@admissionregistration.v1.Validation 1 expression string?; 2 message string; 3 reason string?; 4 messageExpression string
@admissionregistration.v1.Variable 1 name string?; 2 expression string?
@admissionregistration.v1.WebhookClientConfig 1 service ref:@admissionregistration.v1.ServiceReference; 2 caBundle bytes; 3 url string?
@apps.v1.ControllerRevision 1 metadata ref:~ObjectMeta; 2 data raw-object; 3 revision int64?
@apps.v1.DaemonSet 1 metadata ref:~ObjectMeta; 2 spec ref:@apps.v1.DaemonSetSpec; 3 status ref:@apps.v1.DaemonSetStatus
@apps.v1.DaemonSetCondition 1 type string?; 2 status string?; 3 lastTransitionTime date-time; 4 reason string; 5 message string
@apps.v1.DaemonSetSpec 1 selector ref:~LabelSelector; 2 template ref:@core.v1.PodTemplateSpec; 3 updateStrategy ref:@apps.v1.DaemonSetUpdateStrategy; 4 minReadySeconds int32; 6 revisionHistoryLimit int32?
@apps.v1.DaemonSetStatus 1 currentNumberScheduled int32?; 2 numberMisscheduled int32?; 3 desiredNumberScheduled int32?; 4 numberReady int32?; 5 observedGeneration int64; 6 updatedNumberScheduled int32; 7 numberAvailable int32; 8 numberUnavailable int32; 9 collisionCount int32?; 10 conditions []ref:@apps.v1.DaemonSetCondition
@apps.v1.DaemonSetUpdateStrategy 1 type string; 2 rollingUpdate ref:@apps.v1.RollingUpdateDaemonSet
@apps.v1.Deployment 1 metadata ref:~ObjectMeta; 2 spec ref:@apps.v1.DeploymentSpec; 3 status ref:@apps.v1.DeploymentStatus
@apps.v1.DeploymentCondition 1 type string?; 2 status string?; 4 reason string; 5 message string; 6 lastUpdateTime date-time; 7 lastTransitionTime date-time
@apps.v1.DeploymentSpec 1 replicas int32?; 2 selector ref:~LabelSelector; 3 template ref:@core.v1.PodTemplateSpec; 4 strategy ref:@apps.v1.DeploymentStrategy; 5 minReadySeconds int32; 6 revisionHistoryLimit int32?; 7 paused bool; 9 progressDeadlineSeconds int32?
@apps.v1.DeploymentStatus 1 observedGeneration int64; 2 replicas int32; 3 updatedReplicas int32; 4 availableReplicas int32; 5 unavailableReplicas int32; 6 conditions []ref:@apps.v1.DeploymentCondition; 7 readyReplicas int32; 8 collisionCount int32?; 9 terminatingReplicas int32?
@apps.v1.DeploymentStrategy 1 type string; 2 rollingUpdate ref:@apps.v1.RollingUpdateDeployment
@apps.v1.ReplicaSet 1 metadata ref:~ObjectMeta; 2 spec ref:@apps.v1.ReplicaSetSpec; 3 status ref:@apps.v1.ReplicaSetStatus
@apps.v1.ReplicaSetCondition 1 type string?; 2 status string?; 3 lastTransitionTime date-time; 4 reason string; 5 message string
@apps.v1.ReplicaSetSpec 1 replicas int32?; 2 selector ref:~LabelSelector; 3 template ref:@core.v1.PodTemplateSpec; 4 minReadySeconds int32
@apps.v1.ReplicaSetStatus 1 replicas int32?; 2 fullyLabeledReplicas int32; 3 observedGeneration int64; 4 readyReplicas int32; 5 availableReplicas int32; 6 conditions []ref:@apps.v1.ReplicaSetCondition; 7 terminatingReplicas int32?
@apps.v1.RollingUpdateDaemonSet 1 maxUnavailable int-or-string?; 2 maxSurge int-or-string?
@apps.v1.RollingUpdateDeployment 1 maxUnavailable int-or-string?; 2 maxSurge int-or-string?
@apps.v1.RollingUpdateStatefulSetStrategy 1 partition int32?; 2 maxUnavailable int-or-string?
@apps.v1.StatefulSet 1 metadata ref:~ObjectMeta; 2 spec ref:@apps.v1.StatefulSetSpec; 3 status ref:@apps.v1.StatefulSetStatus
@apps.v1.StatefulSetCondition 1 type string?; 2 status string?; 3 lastTransitionTime date-time; 4 reason string; 5 message string
@apps.v1.StatefulSetOrdinals 1 start int32?
@apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy 1 whenDeleted string; 2 whenScaled string
@apps.v1.StatefulSetSpec 1 replicas int32?; 2 selector ref:~LabelSelector; 3 template ref:@core.v1.PodTemplateSpec; 4 volumeClaimTemplates []ref:@core.v1.PersistentVolumeClaim; 5 serviceName string?; 6 podManagementPolicy string; 7 updateStrategy ref:@apps.v1.StatefulSetUpdateStrategy; 8 revisionHistoryLimit int32?; 9 minReadySeconds int32; 10 persistentVolumeClaimRetentionPolicy ref:@apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy; 11 ordinals ref:@apps.v1.StatefulSetOrdinals
@apps.v1.StatefulSetStatus 1 observedGeneration int64; 2 replicas int32?; 3 readyReplicas int32; 4 currentReplicas int32; 5 updatedReplicas int32; 6 currentRevision string; 7 updateRevision string; 9 collisionCount int32?; 10 conditions []ref:@apps.v1.StatefulSetCondition; 11 availableReplicas int32?
@apps.v1.StatefulSetUpdateStrategy 1 type string; 2 rollingUpdate ref:@apps.v1.RollingUpdateStatefulSetStrategy
@authentication.v1.BoundObjectReference 1 kind string; 2 apiVersion string; 3 name string; 4 uid string
@authentication.v1.SelfSubjectReview 1 metadata ref:~ObjectMeta; 2 status ref:@authentication.v1.SelfSubjectReviewStatus
@authentication.v1.SelfSubjectReviewStatus 1 userInfo ref:@authentication.v1.UserInfo
@authentication.v1.TokenRequest 1 metadata ref:~ObjectMeta; 2 spec ref:@authentication.v1.TokenRequestSpec; 3 status ref:@authentication.v1.TokenRequestStatus
@authentication.v1.TokenRequestSpec 1 audiences []string; 3 boundObjectRef ref:@authentication.v1.BoundObjectReference; 4 expirationSeconds int64?
@authentication.v1.TokenRequestStatus 1 token string?; 2 expirationTimestamp date-time
@authentication.v1.TokenReview 1 metadata ref:~ObjectMeta; 2 spec ref:@authentication.v1.TokenReviewSpec; 3 status ref:@authentication.v1.TokenReviewStatus
@authentication.v1.TokenReviewSpec 1 token string; 2 audiences []string
@authentication.v1.TokenReviewStatus 1 authenticated bool; 2 user ref:@authentication.v1.UserInfo; 3 error string; 4 audiences []string
@authentication.v1.UserInfo 1 username string; 2 uid string; 3 groups []string; 4 extra map:wrapped:string
@authorization.v1.FieldSelectorAttributes 1 rawSelector string; 2 requirements []ref:~FieldSelectorRequirement
@authorization.v1.LabelSelectorAttributes 1 rawSelector string; 2 requirements []ref:~LabelSelectorRequirement
@authorization.v1.LocalSubjectAccessReview 1 metadata ref:~ObjectMeta; 2 spec ref:@authorization.v1.SubjectAccessReviewSpec; 3 status ref:@authorization.v1.SubjectAccessReviewStatus
@authorization.v1.NonResourceAttributes 1 path string; 2 verb string
@authorization.v1.NonResourceRule 1 verbs []string; 2 nonResourceURLs []string
@authorization.v1.ResourceAttributes 1 namespace string; 2 verb string; 3 group string; 4 version string; 5 resource string; 6 subresource string; 7 name string; 8 fieldSelector ref:@authorization.v1.FieldSelectorAttributes; 9 labelSelector ref:@authorization.v1.LabelSelectorAttributes
@authorization.v1.ResourceRule 1 verbs []string; 2 apiGroups []string; 3 resources []string; 4 resourceNames []string
@authorization.v1.SelfSubjectAccessReview 1 metadata ref:~ObjectMeta; 2 spec ref:@authorization.v1.SelfSubjectAccessReviewSpec; 3 status ref:@authorization.v1.SubjectAccessReviewStatus
@authorization.v1.SelfSubjectAccessReviewSpec 1 resourceAttributes ref:@authorization.v1.ResourceAttributes; 2 nonResourceAttributes ref:@authorization.v1.NonResourceAttributes
@authorization.v1.SelfSubjectRulesReview 1 metadata ref:~ObjectMeta; 2 spec ref:@authorization.v1.SelfSubjectRulesReviewSpec; 3 status ref:@authorization.v1.SubjectRulesReviewStatus
@authorization.v1.SelfSubjectRulesReviewSpec 1 namespace string
@authorization.v1.SubjectAccessReview 1 metadata ref:~ObjectMeta; 2 spec ref:@authorization.v1.SubjectAccessReviewSpec; 3 status ref:@authorization.v1.SubjectAccessReviewStatus
@authorization.v1.SubjectAccessReviewSpec 1 resourceAttributes ref:@authorization.v1.ResourceAttributes; 2 nonResourceAttributes ref:@authorization.v1.NonResourceAttributes; 3 user string; 4 groups []string; 5 extra map:wrapped:string; 6 uid string
@authorization.v1.SubjectAccessReviewStatus 1 allowed bool?; 2 reason string; 3 evaluationError string; 4 denied bool
@authorization.v1.SubjectRulesReviewStatus 1 resourceRules []ref:@authorization.v1.ResourceRule; 2 nonResourceRules []ref:@authorization.v1.NonResourceRule; 3 incomplete bool?; 4 evaluationError string
@autoscaling.v1.CrossVersionObjectReference 1 kind string?; 2 name string?; 3 apiVersion string
@autoscaling.v1.HorizontalPodAutoscaler 1 metadata ref:~ObjectMeta; 2 spec ref:@autoscaling.v1.HorizontalPodAutoscalerSpec; 3 status ref:@autoscaling.v1.HorizontalPodAutoscalerStatus
@autoscaling.v1.HorizontalPodAutoscalerSpec 1 scaleTargetRef ref:@autoscaling.v1.CrossVersionObjectReference; 2 minReplicas int32?; 3 maxReplicas int32?; 4 targetCPUUtilizationPercentage int32?
@autoscaling.v1.HorizontalPodAutoscalerStatus 1 observedGeneration int64?; 2 lastScaleTime date-time?; 3 currentReplicas int32?; 4 desiredReplicas int32?; 5 currentCPUUtilizationPercentage int32?
@autoscaling.v1.Scale 1 metadata ref:~ObjectMeta; 2 spec ref:@autoscaling.v1.ScaleSpec; 3 status ref:@autoscaling.v1.ScaleStatus
@autoscaling.v1.ScaleSpec 1 replicas int32
@autoscaling.v1.ScaleStatus 1 replicas int32?; 2 selector string
@autoscaling.v2.ContainerResourceMetricSource 1 name string?; 2 target ref:@autoscaling.v2.MetricTarget; 3 container string?
@autoscaling.v2.ContainerResourceMetricStatus 1 name string?; 2 current ref:@autoscaling.v2.MetricValueStatus; 3 container string?
@autoscaling.v2.CrossVersionObjectReference 1 kind string?; 2 name string?; 3 apiVersion string
@autoscaling.v2.ExternalMetricSource 1 metric ref:@autoscaling.v2.MetricIdentifier; 2 target ref:@autoscaling.v2.MetricTarget
@autoscaling.v2.ExternalMetricStatus 1 metric ref:@autoscaling.v2.MetricIdentifier; 2 current ref:@autoscaling.v2.MetricValueStatus
@autoscaling.v2.HPAScalingPolicy 1 type string?; 2 value int32?; 3 periodSeconds int32?
@autoscaling.v2.HPAScalingRules 1 selectPolicy string?; 2 policies []ref:@autoscaling.v2.HPAScalingPolicy; 3 stabilizationWindowSeconds int32?; 4 tolerance quantity?
@autoscaling.v2.HorizontalPodAutoscaler 1 metadata ref:~ObjectMeta; 2 spec ref:@autoscaling.v2.HorizontalPodAutoscalerSpec; 3 status ref:@autoscaling.v2.HorizontalPodAutoscalerStatus
@autoscaling.v2.HorizontalPodAutoscalerBehavior 1 scaleUp ref:@autoscaling.v2.HPAScalingRules; 2 scaleDown ref:@autoscaling.v2.HPAScalingRules
@autoscaling.v2.HorizontalPodAutoscalerCondition 1 type string?; 2 status string?; 3 lastTransitionTime date-time; 4 reason string; 5 message string
@autoscaling.v2.HorizontalPodAutoscalerSpec 1 scaleTargetRef ref:@autoscaling.v2.CrossVersionObjectReference; 2 minReplicas int32?; 3 maxReplicas int32?; 4 metrics []ref:@autoscaling.v2.MetricSpec; 5 behavior ref:@autoscaling.v2.HorizontalPodAutoscalerBehavior
@autoscaling.v2.HorizontalPodAutoscalerStatus 1 observedGeneration int64?; 2 lastScaleTime date-time?; 3 currentReplicas int32; 4 desiredReplicas int32?; 5 currentMetrics []ref:@autoscaling.v2.MetricStatus; 6 conditions []ref:@autoscaling.v2.HorizontalPodAutoscalerCondition
@autoscaling.v2.MetricIdentifier 1 name string?; 2 selector ref:~LabelSelector
@autoscaling.v2.MetricSpec 1 type string?; 2 object ref:@autoscaling.v2.ObjectMetricSource; 3 pods ref:@autoscaling.v2.PodsMetricSource; 4 resource ref:@autoscaling.v2.ResourceMetricSource; 5 external ref:@autoscaling.v2.ExternalMetricSource; 7 containerResource ref:@autoscaling.v2.ContainerResourceMetricSource
@autoscaling.v2.MetricStatus 1 type string?; 2 object ref:@autoscaling.v2.ObjectMetricStatus; 3 pods ref:@autoscaling.v2.PodsMetricStatus; 4 resource ref:@autoscaling.v2.ResourceMetricStatus; 5 external ref:@autoscaling.v2.ExternalMetricStatus; 7 containerResource ref:@autoscaling.v2.ContainerResourceMetricStatus
@autoscaling.v2.MetricTarget 1 type string?; 2 value quantity?; 3 averageValue quantity?; 4 averageUtilization int32?
@autoscaling.v2.MetricValueStatus 1 value quantity?; 2 averageValue quantity?; 3 averageUtilization int32?
@autoscaling.v2.ObjectMetricSource 1 describedObject ref:@autoscaling.v2.CrossVersionObjectReference; 2 target ref:@autoscaling.v2.MetricTarget; 3 metric ref:@autoscaling.v2.MetricIdentifier
@autoscaling.v2.ObjectMetricStatus 1 metric ref:@autoscaling.v2.MetricIdentifier; 2 current ref:@autoscaling.v2.MetricValueStatus; 3 describedObject ref:@autoscaling.v2.CrossVersionObjectReference
@autoscaling.v2.PodsMetricSource 1 metric ref:@autoscaling.v2.MetricIdentifier; 2 target ref:@autoscaling.v2.MetricTarget
@autoscaling.v2.PodsMetricStatus 1 metric ref:@autoscaling.v2.MetricIdentifier; 2 current ref:@autoscaling.v2.MetricValueStatus
@autoscaling.v2.ResourceMetricSource 1 name string?; 2 target ref:@autoscaling.v2.MetricTarget
@autoscaling.v2.ResourceMetricStatus 1 name string?; 2 current ref:@autoscaling.v2.MetricValueStatus
@batch.v1.CronJob 1 metadata ref:~ObjectMeta; 2 spec ref:@batch.v1.CronJobSpec; 3 status ref:@batch.v1.CronJobStatus
@batch.v1.CronJobSpec 1 schedule string?; 2 startingDeadlineSeconds int64?; 3 concurrencyPolicy string; 4 suspend bool?; 5 jobTemplate ref:@batch.v1.JobTemplateSpec; 6 successfulJobsHistoryLimit int32?; 7 failedJobsHistoryLimit int32?; 8 timeZone string?
@batch.v1.CronJobStatus 1 active []ref:@core.v1.ObjectReference; 4 lastScheduleTime date-time?; 5 lastSuccessfulTime date-time?
@batch.v1.Job 1 metadata ref:~ObjectMeta; 2 spec ref:@batch.v1.JobSpec; 3 status ref:@batch.v1.JobStatus
@batch.v1.JobCondition 1 type string?; 2 status string?; 3 lastProbeTime date-time; 4 lastTransitionTime date-time; 5 reason string; 6 message string
@batch.v1.JobSpec 1 parallelism int32?; 2 completions int32?; 3 activeDeadlineSeconds int64?; 4 selector ref:~LabelSelector; 5 manualSelector bool?; 6 template ref:@core.v1.PodTemplateSpec; 7 backoffLimit int32?; 8 ttlSecondsAfterFinished int32?; 9 completionMode string?; 10 suspend bool?; 11 podFailurePolicy ref:@batch.v1.PodFailurePolicy; 12 backoffLimitPerIndex int32?; 13 maxFailedIndexes int32?; 14 podReplacementPolicy string?; 15 managedBy string?; 16 successPolicy ref:@batch.v1.SuccessPolicy
@batch.v1.JobStatus 1 conditions []ref:@batch.v1.JobCondition; 2 startTime date-time?; 3 completionTime date-time?; 4 active int32; 5 succeeded int32; 6 failed int32; 7 completedIndexes string; 8 uncountedTerminatedPods ref:@batch.v1.UncountedTerminatedPods; 9 ready int32?; 10 failedIndexes string?; 11 terminating int32?
@batch.v1.JobTemplateSpec 1 metadata ref:~ObjectMeta; 2 spec ref:@batch.v1.JobSpec
@batch.v1.PodFailurePolicy 1 rules []ref:@batch.v1.PodFailurePolicyRule
@batch.v1.PodFailurePolicyOnExitCodesRequirement 1 containerName string?; 2 operator string?; 3 values []int32
@batch.v1.PodFailurePolicyOnPodConditionsPattern 1 type string?; 2 status string?
@batch.v1.PodFailurePolicyRule 1 action string?; 2 onExitCodes ref:@batch.v1.PodFailurePolicyOnExitCodesRequirement; 3 onPodConditions []ref:@batch.v1.PodFailurePolicyOnPodConditionsPattern
@batch.v1.SuccessPolicy 1 rules []ref:@batch.v1.SuccessPolicyRule
@batch.v1.SuccessPolicyRule 1 succeededIndexes string?; 2 succeededCount int32?
@batch.v1.UncountedTerminatedPods 1 succeeded []string; 2 failed []string
@certificates.v1.CertificateSigningRequest 1 metadata ref:~ObjectMeta; 2 spec ref:@certificates.v1.CertificateSigningRequestSpec; 3 status ref:@certificates.v1.CertificateSigningRequestStatus
@certificates.v1.CertificateSigningRequestCondition 1 type string?; 2 reason string; 3 message string; 4 lastUpdateTime date-time; 5 lastTransitionTime date-time; 6 status string?
@certificates.v1.CertificateSigningRequestSpec 1 request bytes?; 2 username string; 3 uid string; 4 groups []string; 5 usages []string; 6 extra map:wrapped:string; 7 signerName string?; 8 expirationSeconds int32?
@certificates.v1.CertificateSigningRequestStatus 1 conditions []ref:@certificates.v1.CertificateSigningRequestCondition; 2 certificate bytes
@coordination.v1.Lease 1 metadata ref:~ObjectMeta; 2 spec ref:@coordination.v1.LeaseSpec
@coordination.v1.LeaseSpec 1 holderIdentity string?; 2 leaseDurationSeconds int32?; 3 acquireTime date-time-micro?; 4 renewTime date-time-micro?; 5 leaseTransitions int32?; 6 strategy string?; 7 preferredHolder string?
@core.v1.AWSElasticBlockStoreVolumeSource 1 volumeID string?; 2 fsType string; 3 partition int32; 4 readOnly bool
@core.v1.Affinity 1 nodeAffinity ref:@core.v1.NodeAffinity; 2 podAffinity ref:@core.v1.PodAffinity; 3 podAntiAffinity ref:@core.v1.PodAntiAffinity
@core.v1.AppArmorProfile 1 type string?; 2 localhostProfile string?
@core.v1.AttachedVolume 1 name string?; 2 devicePath string?
@core.v1.AzureDiskVolumeSource 1 diskName string?; 2 diskURI string?; 3 cachingMode string?; 4 fsType string?; 5 readOnly bool?; 6 kind string?
@core.v1.AzureFilePersistentVolumeSource 1 secretName string?; 2 shareName string?; 3 readOnly bool; 4 secretNamespace string?
@core.v1.AzureFileVolumeSource 1 secretName string?; 2 shareName string?; 3 readOnly bool
@core.v1.Binding 1 metadata ref:~ObjectMeta; 2 target ref:@core.v1.ObjectReference
@core.v1.CSIPersistentVolumeSource 1 driver string?; 2 volumeHandle string?; 3 readOnly bool; 4 fsType string; 5 volumeAttributes map:string; 6 controllerPublishSecretRef ref:@core.v1.SecretReference; 7 nodeStageSecretRef ref:@core.v1.SecretReference; 8 nodePublishSecretRef ref:@core.v1.SecretReference; 9 controllerExpandSecretRef ref:@core.v1.SecretReference; 10 nodeExpandSecretRef ref:@core.v1.SecretReference
@core.v1.CSIVolumeSource 1 driver string?; 2 readOnly bool?; 3 fsType string?; 4 volumeAttributes map:string; 5 nodePublishSecretRef ref:@core.v1.LocalObjectReference
@core.v1.Capabilities 1 add []string; 2 drop []string
@core.v1.CephFSPersistentVolumeSource 1 monitors []string; 2 path string; 3 user string; 4 secretFile string; 5 secretRef ref:@core.v1.SecretReference; 6 readOnly bool
@core.v1.CephFSVolumeSource 1 monitors []string; 2 path string; 3 user string; 4 secretFile string; 5 secretRef ref:@core.v1.LocalObjectReference; 6 readOnly bool
@core.v1.CinderPersistentVolumeSource 1 volumeID string?; 2 fsType string; 3 readOnly bool; 4 secretRef ref:@core.v1.SecretReference
@core.v1.CinderVolumeSource 1 volumeID string?; 2 fsType string; 3 readOnly bool; 4 secretRef ref:@core.v1.LocalObjectReference
@core.v1.ClientIPConfig 1 timeoutSeconds int32?
@core.v1.ClusterTrustBundleProjection 1 name string?; 2 signerName string?; 3 labelSelector ref:~LabelSelector; 4 path string?; 5 optional bool?
@core.v1.ComponentCondition 1 type string?; 2 status string?; 3 message string; 4 error string
@core.v1.ComponentStatus 1 metadata ref:~ObjectMeta; 2 conditions []ref:@core.v1.ComponentCondition
@core.v1.ConfigMap 1 metadata ref:~ObjectMeta; 2 data map:string; 3 binaryData map:bytes; 4 immutable bool?
@core.v1.ConfigMapEnvSource 1 localObjectReference ref:@core.v1.LocalObjectReference^; 2 optional bool?
@core.v1.ConfigMapKeySelector 1 localObjectReference ref:@core.v1.LocalObjectReference^; 2 key string?; 3 optional bool?
@core.v1.ConfigMapNodeConfigSource 1 namespace string?; 2 name string?; 3 uid string; 4 resourceVersion string; 5 kubeletConfigKey string?
@core.v1.ConfigMapProjection 1 localObjectReference ref:@core.v1.LocalObjectReference^; 2 items []ref:@core.v1.KeyToPath; 4 optional bool?
@core.v1.ConfigMapVolumeSource 1 localObjectReference ref:@core.v1.LocalObjectReference^; 2 items []ref:@core.v1.KeyToPath; 3 defaultMode int32?; 4 optional bool?
@core.v1.Container 1 name string?; 2 image string; 3 command []string; 4 args []string; 5 workingDir string; 6 ports []ref:@core.v1.ContainerPort; 7 env []ref:@core.v1.EnvVar; 8 resources ref:@core.v1.ResourceRequirements; 9 volumeMounts []ref:@core.v1.VolumeMount; 10 livenessProbe ref:@core.v1.Probe; 11 readinessProbe ref:@core.v1.Probe; 12 lifecycle ref:@core.v1.Lifecycle; 13 terminationMessagePath string; 14 imagePullPolicy string; 15 securityContext ref:@core.v1.SecurityContext; 16 stdin bool; 17 stdinOnce bool; 18 tty bool; 19 envFrom []ref:@core.v1.EnvFromSource; 20 terminationMessagePolicy string; 21 volumeDevices []ref:@core.v1.VolumeDevice; 22 startupProbe ref:@core.v1.Probe; 23 resizePolicy []ref:@core.v1.ContainerResizePolicy; 24 restartPolicy string?; 25 restartPolicyRules []ref:@core.v1.ContainerRestartRule
@core.v1.ContainerExtendedResourceRequest 1 containerName string?; 2 resourceName string?; 3 requestName string?
@core.v1.ContainerImage 1 names []string; 2 sizeBytes int64
@core.v1.ContainerPort 1 name string; 2 hostPort int32; 3 containerPort int32?; 4 protocol string; 5 hostIP string
@core.v1.ContainerResizePolicy 1 resourceName string?; 2 restartPolicy string?
@core.v1.ContainerRestartRule 1 action string; 2 exitCodes ref:@core.v1.ContainerRestartRuleOnExitCodes
@core.v1.ContainerRestartRuleOnExitCodes 1 operator string; 2 values []int32
@core.v1.ContainerState 1 waiting ref:@core.v1.ContainerStateWaiting; 2 running ref:@core.v1.ContainerStateRunning; 3 terminated ref:@core.v1.ContainerStateTerminated
@core.v1.ContainerStateRunning 1 startedAt date-time
@core.v1.ContainerStateTerminated 1 exitCode int32?; 2 signal int32; 3 reason string; 4 message string; 5 startedAt date-time; 6 finishedAt date-time; 7 containerID string
@core.v1.ContainerStateWaiting 1 reason string; 2 message string
@core.v1.ContainerStatus 1 name string?; 2 state ref:@core.v1.ContainerState; 3 lastState ref:@core.v1.ContainerState; 4 ready bool?; 5 restartCount int32?; 6 image string?; 7 imageID string?; 8 containerID string; 9 started bool?; 10 allocatedResources map:quantity; 11 resources ref:@core.v1.ResourceRequirements; 12 volumeMounts []ref:@core.v1.VolumeMountStatus; 13 user ref:@core.v1.ContainerUser; 14 allocatedResourcesStatus []ref:@core.v1.ResourceStatus; 15 stopSignal string?
@core.v1.ContainerUser 1 linux ref:@core.v1.LinuxContainerUser
@core.v1.DaemonEndpoint 1 Port int32?
@core.v1.DownwardAPIProjection 1 items []ref:@core.v1.DownwardAPIVolumeFile
@core.v1.DownwardAPIVolumeFile 1 path string?; 2 fieldRef ref:@core.v1.ObjectFieldSelector; 3 resourceFieldRef ref:@core.v1.ResourceFieldSelector; 4 mode int32?
@core.v1.DownwardAPIVolumeSource 1 items []ref:@core.v1.DownwardAPIVolumeFile; 2 defaultMode int32?
@core.v1.EmptyDirVolumeSource 1 medium string; 2 sizeLimit quantity?
@core.v1.EndpointAddress 1 ip string?; 2 targetRef ref:@core.v1.ObjectReference; 3 hostname string; 4 nodeName string?
@core.v1.EndpointPort 1 name string; 2 port int32?; 3 protocol string; 4 appProtocol string?
@core.v1.EndpointSubset 1 addresses []ref:@core.v1.EndpointAddress; 2 notReadyAddresses []ref:@core.v1.EndpointAddress; 3 ports []ref:@core.v1.EndpointPort
@core.v1.Endpoints 1 metadata ref:~ObjectMeta; 2 subsets []ref:@core.v1.EndpointSubset
@core.v1.EnvFromSource 1 prefix string; 2 configMapRef ref:@core.v1.ConfigMapEnvSource; 3 secretRef ref:@core.v1.SecretEnvSource
@core.v1.EnvVar 1 name string?; 2 value string; 3 valueFrom ref:@core.v1.EnvVarSource
@core.v1.EnvVarSource 1 fieldRef ref:@core.v1.ObjectFieldSelector; 2 resourceFieldRef ref:@core.v1.ResourceFieldSelector; 3 configMapKeyRef ref:@core.v1.ConfigMapKeySelector; 4 secretKeyRef ref:@core.v1.SecretKeySelector; 5 fileKeyRef ref:@core.v1.FileKeySelector
@core.v1.EphemeralContainer 1 ephemeralContainerCommon ref:@core.v1.EphemeralContainerCommon^; 2 targetContainerName string
@core.v1.EphemeralContainerCommon 1 name string?; 2 image string; 3 command []string; 4 args []string; 5 workingDir string; 6 ports []ref:@core.v1.ContainerPort; 7 env []ref:@core.v1.EnvVar; 8 resources ref:@core.v1.ResourceRequirements; 9 volumeMounts []ref:@core.v1.VolumeMount; 10 livenessProbe ref:@core.v1.Probe; 11 readinessProbe ref:@core.v1.Probe; 12 lifecycle ref:@core.v1.Lifecycle; 13 terminationMessagePath string; 14 imagePullPolicy string; 15 securityContext ref:@core.v1.SecurityContext; 16 stdin bool; 17 stdinOnce bool; 18 tty bool; 19 envFrom []ref:@core.v1.EnvFromSource; 20 terminationMessagePolicy string; 21 volumeDevices []ref:@core.v1.VolumeDevice; 22 startupProbe ref:@core.v1.Probe; 23 resizePolicy []ref:@core.v1.ContainerResizePolicy; 24 restartPolicy string?; 25 restartPolicyRules []ref:@core.v1.ContainerRestartRule
@core.v1.EphemeralVolumeSource 1 volumeClaimTemplate ref:@core.v1.PersistentVolumeClaimTemplate
@core.v1.Event 1 metadata ref:~ObjectMeta; 2 involvedObject ref:@core.v1.ObjectReference; 3 reason string; 4 message string; 5 source ref:@core.v1.EventSource; 6 firstTimestamp date-time; 7 lastTimestamp date-time; 8 count int32; 9 type string; 10 eventTime date-time-micro; 11 series ref:@core.v1.EventSeries; 12 action string; 13 related ref:@core.v1.ObjectReference; 14 reportingComponent string?; 15 reportingInstance string?
@core.v1.EventSeries 1 count int32; 2 lastObservedTime date-time-micro
@core.v1.EventSource 1 component string; 2 host string
@core.v1.ExecAction 1 command []string
@core.v1.FCVolumeSource 1 targetWWNs []string; 2 lun int32?; 3 fsType string; 4 readOnly bool; 5 wwids []string
@core.v1.FileKeySelector 1 volumeName string?; 2 path string?; 3 key string?; 4 optional bool?
@core.v1.FlexPersistentVolumeSource 1 driver string?; 2 fsType string; 3 secretRef ref:@core.v1.SecretReference; 4 readOnly bool; 5 options map:string
@core.v1.FlexVolumeSource 1 driver string?; 2 fsType string; 3 secretRef ref:@core.v1.LocalObjectReference; 4 readOnly bool; 5 options map:string
@core.v1.FlockerVolumeSource 1 datasetName string; 2 datasetUUID string
@core.v1.GCEPersistentDiskVolumeSource 1 pdName string?; 2 fsType string; 3 partition int32; 4 readOnly bool
@core.v1.GRPCAction 1 port int32?; 2 service string?
@core.v1.GitRepoVolumeSource 1 repository string?; 2 revision string; 3 directory string
@core.v1.GlusterfsPersistentVolumeSource 1 endpoints string?; 2 path string?; 3 readOnly bool; 4 endpointsNamespace string?
@core.v1.GlusterfsVolumeSource 1 endpoints string?; 2 path string?; 3 readOnly bool
@core.v1.HTTPGetAction 1 path string; 2 port int-or-string?; 3 host string; 4 scheme string; 5 httpHeaders []ref:@core.v1.HTTPHeader
@core.v1.HTTPHeader 1 name string?; 2 value string?
@core.v1.HostAlias 1 ip string?; 2 hostnames []string
@core.v1.HostIP 1 ip string?
@core.v1.HostPathVolumeSource 1 path string?; 2 type string?
@core.v1.ISCSIPersistentVolumeSource 1 targetPortal string?; 2 iqn string?; 3 lun int32?; 4 iscsiInterface string; 5 fsType string; 6 readOnly bool; 7 portals []string; 8 chapAuthDiscovery bool; 10 secretRef ref:@core.v1.SecretReference; 11 chapAuthSession bool; 12 initiatorName string?
@core.v1.ISCSIVolumeSource 1 targetPortal string?; 2 iqn string?; 3 lun int32?; 4 iscsiInterface string; 5 fsType string; 6 readOnly bool; 7 portals []string; 8 chapAuthDiscovery bool; 10 secretRef ref:@core.v1.LocalObjectReference; 11 chapAuthSession bool; 12 initiatorName string?
@core.v1.ImageVolumeSource 1 reference string; 2 pullPolicy string
@core.v1.ImageVolumeStatus 1 imageRef string
@core.v1.KeyToPath 1 key string?; 2 path string?; 3 mode int32?
@core.v1.Lifecycle 1 postStart ref:@core.v1.LifecycleHandler; 2 preStop ref:@core.v1.LifecycleHandler; 3 stopSignal string?
@core.v1.LifecycleHandler 1 exec ref:@core.v1.ExecAction; 2 httpGet ref:@core.v1.HTTPGetAction; 3 tcpSocket ref:@core.v1.TCPSocketAction; 4 sleep ref:@core.v1.SleepAction
@core.v1.LimitRange 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.LimitRangeSpec
@core.v1.LimitRangeItem 1 type string?; 2 max map:quantity; 3 min map:quantity; 4 default map:quantity; 5 defaultRequest map:quantity; 6 maxLimitRequestRatio map:quantity
@core.v1.LimitRangeSpec 1 limits []ref:@core.v1.LimitRangeItem
@core.v1.LinuxContainerUser 1 uid int64?; 2 gid int64?; 3 supplementalGroups []int64
@core.v1.LoadBalancerIngress 1 ip string; 2 hostname string; 3 ipMode string?; 4 ports []ref:@core.v1.PortStatus
@core.v1.LoadBalancerStatus 1 ingress []ref:@core.v1.LoadBalancerIngress
@core.v1.LocalObjectReference 1 name string
@core.v1.LocalVolumeSource 1 path string?; 2 fsType string?
@core.v1.ModifyVolumeStatus 1 targetVolumeAttributesClassName string; 2 status string?
@core.v1.NFSVolumeSource 1 server string?; 2 path string?; 3 readOnly bool
@core.v1.Namespace 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.NamespaceSpec; 3 status ref:@core.v1.NamespaceStatus
@core.v1.NamespaceCondition 1 type string?; 2 status string?; 4 lastTransitionTime date-time; 5 reason string; 6 message string
@core.v1.NamespaceSpec 1 finalizers []string
@core.v1.NamespaceStatus 1 phase string; 2 conditions []ref:@core.v1.NamespaceCondition
@core.v1.Node 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.NodeSpec; 3 status ref:@core.v1.NodeStatus
@core.v1.NodeAddress 1 type string?; 2 address string?
@core.v1.NodeAffinity 1 requiredDuringSchedulingIgnoredDuringExecution ref:@core.v1.NodeSelector; 2 preferredDuringSchedulingIgnoredDuringExecution []ref:@core.v1.PreferredSchedulingTerm
@core.v1.NodeAllocatableResourceClaimStatus 1 resourceClaimName string?; 2 containers []string
@core.v1.NodeCondition 1 type string?; 2 status string?; 3 lastHeartbeatTime date-time; 4 lastTransitionTime date-time; 5 reason string; 6 message string
@core.v1.NodeConfigSource 2 configMap ref:@core.v1.ConfigMapNodeConfigSource
@core.v1.NodeConfigStatus 1 assigned ref:@core.v1.NodeConfigSource; 2 active ref:@core.v1.NodeConfigSource; 3 lastKnownGood ref:@core.v1.NodeConfigSource; 4 error string
@core.v1.NodeDaemonEndpoints 1 kubeletEndpoint ref:@core.v1.DaemonEndpoint 1 Port int32?
@core.v1.NodeFeatures 1 supplementalGroupsPolicy bool?
@core.v1.NodeRuntimeHandler 1 name string?; 2 features ref:@core.v1.NodeRuntimeHandlerFeatures
@core.v1.NodeRuntimeHandlerFeatures 1 recursiveReadOnlyMounts bool?; 2 userNamespaces bool?
@core.v1.NodeSelector 1 nodeSelectorTerms []ref:@core.v1.NodeSelectorTerm
@core.v1.NodeSelectorRequirement 1 key string?; 2 operator string?; 3 values []string
@core.v1.NodeSelectorTerm 1 matchExpressions []ref:@core.v1.NodeSelectorRequirement; 2 matchFields []ref:@core.v1.NodeSelectorRequirement
@core.v1.NodeSpec 1 podCIDR string; 2 externalID string; 3 providerID string; 4 unschedulable bool; 5 taints []ref:@core.v1.Taint; 6 configSource ref:@core.v1.NodeConfigSource; 7 podCIDRs []string
@core.v1.NodeStatus 1 capacity map:quantity; 2 allocatable map:quantity; 3 phase string; 4 conditions []ref:@core.v1.NodeCondition; 5 addresses []ref:@core.v1.NodeAddress; 6 daemonEndpoints ref:@core.v1.NodeDaemonEndpoints; 7 nodeInfo ref:@core.v1.NodeSystemInfo; 8 images []ref:@core.v1.ContainerImage; 9 volumesInUse []string; 10 volumesAttached []ref:@core.v1.AttachedVolume; 11 config ref:@core.v1.NodeConfigStatus; 12 runtimeHandlers []ref:@core.v1.NodeRuntimeHandler; 13 features ref:@core.v1.NodeFeatures; 14 declaredFeatures []string
@core.v1.NodeSwapStatus 1 capacity int64?
@core.v1.NodeSystemInfo 1 machineID string?; 2 systemUUID string?; 3 bootID string?; 4 kernelVersion string?; 5 osImage string?; 6 containerRuntimeVersion string?; 7 kubeletVersion string?; 8 kubeProxyVersion string?; 9 operatingSystem string?; 10 architecture string?; 11 swap ref:@core.v1.NodeSwapStatus
@core.v1.ObjectFieldSelector 1 apiVersion string; 2 fieldPath string?
@core.v1.ObjectReference 1 kind string; 2 namespace string; 3 name string; 4 uid string; 5 apiVersion string; 6 resourceVersion string; 7 fieldPath string
@core.v1.PersistentVolume 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.PersistentVolumeSpec; 3 status ref:@core.v1.PersistentVolumeStatus
@core.v1.PersistentVolumeClaim 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.PersistentVolumeClaimSpec; 3 status ref:@core.v1.PersistentVolumeClaimStatus
@core.v1.PersistentVolumeClaimCondition 1 type string?; 2 status string?; 3 lastProbeTime date-time; 4 lastTransitionTime date-time; 5 reason string; 6 message string
@core.v1.PersistentVolumeClaimSpec 1 accessModes []string; 2 resources ref:@core.v1.VolumeResourceRequirements; 3 volumeName string; 4 selector ref:~LabelSelector; 5 storageClassName string?; 6 volumeMode string?; 7 dataSource ref:@core.v1.TypedLocalObjectReference; 8 dataSourceRef ref:@core.v1.TypedObjectReference; 9 volumeAttributesClassName string?
@core.v1.PersistentVolumeClaimStatus 1 phase string; 2 accessModes []string; 3 capacity map:quantity; 4 conditions []ref:@core.v1.PersistentVolumeClaimCondition; 5 allocatedResources map:quantity; 7 allocatedResourceStatuses map:string; 8 currentVolumeAttributesClassName string?; 9 modifyVolumeStatus ref:@core.v1.ModifyVolumeStatus
@core.v1.PersistentVolumeClaimTemplate 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.PersistentVolumeClaimSpec
@core.v1.PersistentVolumeClaimVolumeSource 1 claimName string?; 2 readOnly bool
@core.v1.PersistentVolumeSource 1 gcePersistentDisk ref:@core.v1.GCEPersistentDiskVolumeSource; 2 awsElasticBlockStore ref:@core.v1.AWSElasticBlockStoreVolumeSource; 3 hostPath ref:@core.v1.HostPathVolumeSource; 4 glusterfs ref:@core.v1.GlusterfsPersistentVolumeSource; 5 nfs ref:@core.v1.NFSVolumeSource; 6 rbd ref:@core.v1.RBDPersistentVolumeSource; 7 iscsi ref:@core.v1.ISCSIPersistentVolumeSource; 8 cinder ref:@core.v1.CinderPersistentVolumeSource; 9 cephfs ref:@core.v1.CephFSPersistentVolumeSource; 10 fc ref:@core.v1.FCVolumeSource; 11 flocker ref:@core.v1.FlockerVolumeSource; 12 flexVolume ref:@core.v1.FlexPersistentVolumeSource; 13 azureFile ref:@core.v1.AzureFilePersistentVolumeSource; 14 vsphereVolume ref:@core.v1.VsphereVirtualDiskVolumeSource; 15 quobyte ref:@core.v1.QuobyteVolumeSource; 16 azureDisk ref:@core.v1.AzureDiskVolumeSource; 17 photonPersistentDisk ref:@core.v1.PhotonPersistentDiskVolumeSource; 18 portworxVolume ref:@core.v1.PortworxVolumeSource; 19 scaleIO ref:@core.v1.ScaleIOPersistentVolumeSource; 20 local ref:@core.v1.LocalVolumeSource; 21 storageos ref:@core.v1.StorageOSPersistentVolumeSource; 22 csi ref:@core.v1.CSIPersistentVolumeSource
@core.v1.PersistentVolumeSpec 1 capacity map:quantity; 2 persistentVolumeSource ref:@core.v1.PersistentVolumeSource^; 3 accessModes []string; 4 claimRef ref:@core.v1.ObjectReference; 5 persistentVolumeReclaimPolicy string; 6 storageClassName string; 7 mountOptions []string; 8 volumeMode string?; 9 nodeAffinity ref:@core.v1.VolumeNodeAffinity; 10 volumeAttributesClassName string?
@core.v1.PersistentVolumeStatus 1 phase string; 2 message string; 3 reason string; 4 lastPhaseTransitionTime date-time?
@core.v1.PhotonPersistentDiskVolumeSource 1 pdID string?; 2 fsType string
@core.v1.Pod 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.PodSpec; 3 status ref:@core.v1.PodStatus
@core.v1.PodAffinity 1 requiredDuringSchedulingIgnoredDuringExecution []ref:@core.v1.PodAffinityTerm; 2 preferredDuringSchedulingIgnoredDuringExecution []ref:@core.v1.WeightedPodAffinityTerm
@core.v1.PodAffinityTerm 1 labelSelector ref:~LabelSelector; 2 namespaces []string; 3 topologyKey string?; 4 namespaceSelector ref:~LabelSelector; 5 matchLabelKeys []string; 6 mismatchLabelKeys []string
@core.v1.PodAntiAffinity 1 requiredDuringSchedulingIgnoredDuringExecution []ref:@core.v1.PodAffinityTerm; 2 preferredDuringSchedulingIgnoredDuringExecution []ref:@core.v1.WeightedPodAffinityTerm
@core.v1.PodCertificateProjection 1 signerName string; 2 keyType string; 3 maxExpirationSeconds int32?; 4 credentialBundlePath string; 5 keyPath string; 6 certificateChainPath string; 7 userAnnotations map:string
@core.v1.PodCondition 1 type string?; 2 status string?; 3 lastProbeTime date-time; 4 lastTransitionTime date-time; 5 reason string; 6 message string; 7 observedGeneration int64
@core.v1.PodDNSConfig 1 nameservers []string; 2 searches []string; 3 options []ref:@core.v1.PodDNSConfigOption
@core.v1.PodDNSConfigOption 1 name string; 2 value string?
@core.v1.PodExtendedResourceClaimStatus 1 requestMappings []ref:@core.v1.ContainerExtendedResourceRequest; 2 resourceClaimName string?
@core.v1.PodIP 1 ip string?
@core.v1.PodOS 1 name string?
@core.v1.PodReadinessGate 1 conditionType string?
@core.v1.PodResourceClaim 1 name string?; 3 resourceClaimName string?; 4 resourceClaimTemplateName string?
@core.v1.PodResourceClaimStatus 1 name string?; 2 resourceClaimName string?
@core.v1.PodSchedulingGate 1 name string?
@core.v1.PodSchedulingGroup 1 podGroupName string?
@core.v1.PodSecurityContext 1 seLinuxOptions ref:@core.v1.SELinuxOptions; 2 runAsUser int64?; 3 runAsNonRoot bool?; 4 supplementalGroups []int64; 5 fsGroup int64?; 6 runAsGroup int64?; 7 sysctls []ref:@core.v1.Sysctl; 8 windowsOptions ref:@core.v1.WindowsSecurityContextOptions; 9 fsGroupChangePolicy string?; 10 seccompProfile ref:@core.v1.SeccompProfile; 11 appArmorProfile ref:@core.v1.AppArmorProfile; 12 supplementalGroupsPolicy string?; 13 seLinuxChangePolicy string?
@core.v1.PodSpec 1 volumes []ref:@core.v1.Volume; 2 containers []ref:@core.v1.Container; 3 restartPolicy string; 4 terminationGracePeriodSeconds int64?; 5 activeDeadlineSeconds int64?; 6 dnsPolicy string; 7 nodeSelector map:string; 8 serviceAccountName string; 9 serviceAccount string; 10 nodeName string; 11 hostNetwork bool; 12 hostPID bool; 13 hostIPC bool; 14 securityContext ref:@core.v1.PodSecurityContext; 15 imagePullSecrets []ref:@core.v1.LocalObjectReference; 16 hostname string; 17 subdomain string; 18 affinity ref:@core.v1.Affinity; 19 schedulerName string; 20 initContainers []ref:@core.v1.Container; 21 automountServiceAccountToken bool?; 22 tolerations []ref:@core.v1.Toleration; 23 hostAliases []ref:@core.v1.HostAlias; 24 priorityClassName string; 25 priority int32?; 26 dnsConfig ref:@core.v1.PodDNSConfig; 27 shareProcessNamespace bool?; 28 readinessGates []ref:@core.v1.PodReadinessGate; 29 runtimeClassName string?; 30 enableServiceLinks bool?; 31 preemptionPolicy string?; 32 overhead map:quantity; 33 topologySpreadConstraints []ref:@core.v1.TopologySpreadConstraint; 34 ephemeralContainers []ref:@core.v1.EphemeralContainer; 35 setHostnameAsFQDN bool?; 36 os ref:@core.v1.PodOS; 37 hostUsers bool?; 38 schedulingGates []ref:@core.v1.PodSchedulingGate; 39 resourceClaims []ref:@core.v1.PodResourceClaim; 40 resources ref:@core.v1.ResourceRequirements; 41 hostnameOverride string?; 43 schedulingGroup ref:@core.v1.PodSchedulingGroup
@core.v1.PodStatus 1 phase string; 2 conditions []ref:@core.v1.PodCondition; 3 message string; 4 reason string; 5 hostIP string; 6 podIP string; 7 startTime date-time?; 8 containerStatuses []ref:@core.v1.ContainerStatus; 9 qosClass string; 10 initContainerStatuses []ref:@core.v1.ContainerStatus; 11 nominatedNodeName string; 12 podIPs []ref:@core.v1.PodIP; 13 ephemeralContainerStatuses []ref:@core.v1.ContainerStatus; 14 resize string; 15 resourceClaimStatuses []ref:@core.v1.PodResourceClaimStatus; 16 hostIPs []ref:@core.v1.HostIP; 17 observedGeneration int64; 18 extendedResourceClaimStatus ref:@core.v1.PodExtendedResourceClaimStatus; 19 allocatedResources map:quantity; 20 resources ref:@core.v1.ResourceRequirements; 21 nodeAllocatableResourceClaimStatuses []ref:@core.v1.NodeAllocatableResourceClaimStatus
@core.v1.PodTemplate 1 metadata ref:~ObjectMeta; 2 template ref:@core.v1.PodTemplateSpec
@core.v1.PodTemplateSpec 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.PodSpec
@core.v1.PortStatus 1 port int32?; 2 protocol string?; 3 error string?
@core.v1.PortworxVolumeSource 1 volumeID string?; 2 fsType string; 3 readOnly bool
@core.v1.PreferredSchedulingTerm 1 weight int32?; 2 preference ref:@core.v1.NodeSelectorTerm
@core.v1.Probe 1 handler ref:@core.v1.ProbeHandler^; 2 initialDelaySeconds int32; 3 timeoutSeconds int32; 4 periodSeconds int32; 5 successThreshold int32; 6 failureThreshold int32; 7 terminationGracePeriodSeconds int64?
@core.v1.ProbeHandler 1 exec ref:@core.v1.ExecAction; 2 httpGet ref:@core.v1.HTTPGetAction; 3 tcpSocket ref:@core.v1.TCPSocketAction; 4 grpc ref:@core.v1.GRPCAction
@core.v1.ProjectedVolumeSource 1 sources []ref:@core.v1.VolumeProjection; 2 defaultMode int32?
@core.v1.QuobyteVolumeSource 1 registry string?; 2 volume string?; 3 readOnly bool; 4 user string; 5 group string; 6 tenant string
@core.v1.RBDPersistentVolumeSource 1 monitors []string; 2 image string?; 3 fsType string; 4 pool string; 5 user string; 6 keyring string; 7 secretRef ref:@core.v1.SecretReference; 8 readOnly bool
@core.v1.RBDVolumeSource 1 monitors []string; 2 image string?; 3 fsType string; 4 pool string; 5 user string; 6 keyring string; 7 secretRef ref:@core.v1.LocalObjectReference; 8 readOnly bool
@core.v1.ReplicationController 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.ReplicationControllerSpec; 3 status ref:@core.v1.ReplicationControllerStatus
@core.v1.ReplicationControllerCondition 1 type string?; 2 status string?; 3 lastTransitionTime date-time; 4 reason string; 5 message string
@core.v1.ReplicationControllerSpec 1 replicas int32?; 2 selector map:string; 3 template ref:@core.v1.PodTemplateSpec; 4 minReadySeconds int32
@core.v1.ReplicationControllerStatus 1 replicas int32?; 2 fullyLabeledReplicas int32; 3 observedGeneration int64; 4 readyReplicas int32; 5 availableReplicas int32; 6 conditions []ref:@core.v1.ReplicationControllerCondition
@core.v1.ResourceClaim 1 name string?; 2 request string
@core.v1.ResourceFieldSelector 1 containerName string; 2 resource string?; 3 divisor quantity
@core.v1.ResourceHealth 1 resourceID string?; 2 health string; 6 message string?
@core.v1.ResourceQuota 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.ResourceQuotaSpec; 3 status ref:@core.v1.ResourceQuotaStatus
@core.v1.ResourceQuotaSpec 1 hard map:quantity; 2 scopes []string; 3 scopeSelector ref:@core.v1.ScopeSelector
@core.v1.ResourceQuotaStatus 1 hard map:quantity; 2 used map:quantity
@core.v1.ResourceRequirements 1 limits map:quantity; 2 requests map:quantity; 3 claims []ref:@core.v1.ResourceClaim
@core.v1.ResourceStatus 1 name string?; 2 resources []ref:@core.v1.ResourceHealth
@core.v1.SELinuxOptions 1 user string; 2 role string; 3 type string; 4 level string
@core.v1.ScaleIOPersistentVolumeSource 1 gateway string?; 2 system string?; 3 secretRef ref:@core.v1.SecretReference; 4 sslEnabled bool; 5 protectionDomain string; 6 storagePool string; 7 storageMode string; 8 volumeName string; 9 fsType string; 10 readOnly bool
@core.v1.ScaleIOVolumeSource 1 gateway string?; 2 system string?; 3 secretRef ref:@core.v1.LocalObjectReference; 4 sslEnabled bool; 5 protectionDomain string; 6 storagePool string; 7 storageMode string; 8 volumeName string; 9 fsType string; 10 readOnly bool
@core.v1.ScopeSelector 1 matchExpressions []ref:@core.v1.ScopedResourceSelectorRequirement
@core.v1.ScopedResourceSelectorRequirement 1 scopeName string?; 2 operator string?; 3 values []string
@core.v1.SeccompProfile 1 type string?; 2 localhostProfile string?
@core.v1.Secret 1 metadata ref:~ObjectMeta; 2 data map:bytes; 3 type string; 4 stringData map:string; 5 immutable bool?
@core.v1.SecretEnvSource 1 localObjectReference ref:@core.v1.LocalObjectReference^; 2 optional bool?
@core.v1.SecretKeySelector 1 localObjectReference ref:@core.v1.LocalObjectReference^; 2 key string?; 3 optional bool?
@core.v1.SecretProjection 1 localObjectReference ref:@core.v1.LocalObjectReference^; 2 items []ref:@core.v1.KeyToPath; 4 optional bool?
@core.v1.SecretReference 1 name string; 2 namespace string
@core.v1.SecretVolumeSource 1 secretName string; 2 items []ref:@core.v1.KeyToPath; 3 defaultMode int32?; 4 optional bool?
@core.v1.SecurityContext 1 capabilities ref:@core.v1.Capabilities; 2 privileged bool?; 3 seLinuxOptions ref:@core.v1.SELinuxOptions; 4 runAsUser int64?; 5 runAsNonRoot bool?; 6 readOnlyRootFilesystem bool?; 7 allowPrivilegeEscalation bool?; 8 runAsGroup int64?; 9 procMount string?; 10 windowsOptions ref:@core.v1.WindowsSecurityContextOptions; 11 seccompProfile ref:@core.v1.SeccompProfile; 12 appArmorProfile ref:@core.v1.AppArmorProfile
@core.v1.Service 1 metadata ref:~ObjectMeta; 2 spec ref:@core.v1.ServiceSpec; 3 status ref:@core.v1.ServiceStatus
@core.v1.ServiceAccount 1 metadata ref:~ObjectMeta; 2 secrets []ref:@core.v1.ObjectReference; 3 imagePullSecrets []ref:@core.v1.LocalObjectReference; 4 automountServiceAccountToken bool?
@core.v1.ServiceAccountTokenProjection 1 audience string; 2 expirationSeconds int64?; 3 path string?
@core.v1.ServicePort 1 name string; 2 protocol string; 3 port int32?; 4 targetPort int-or-string; 5 nodePort int32; 6 appProtocol string?
@core.v1.ServiceSpec 1 ports []ref:@core.v1.ServicePort; 2 selector map:string; 3 clusterIP string; 4 type string; 5 externalIPs []string; 7 sessionAffinity string; 8 loadBalancerIP string; 9 loadBalancerSourceRanges []string; 10 externalName string; 11 externalTrafficPolicy string; 12 healthCheckNodePort int32; 13 publishNotReadyAddresses bool; 14 sessionAffinityConfig ref:@core.v1.SessionAffinityConfig; 17 ipFamilyPolicy string?; 18 clusterIPs []string; 19 ipFamilies []string; 20 allocateLoadBalancerNodePorts bool?; 21 loadBalancerClass string?; 22 internalTrafficPolicy string?; 23 trafficDistribution string?
@core.v1.ServiceStatus 1 loadBalancer ref:@core.v1.LoadBalancerStatus; 2 conditions []ref:~Condition
@core.v1.SessionAffinityConfig 1 clientIP ref:@core.v1.ClientIPConfig
@core.v1.SleepAction 1 seconds int64?
@core.v1.StorageOSPersistentVolumeSource 1 volumeName string; 2 volumeNamespace string; 3 fsType string; 4 readOnly bool; 5 secretRef ref:@core.v1.ObjectReference
@core.v1.StorageOSVolumeSource 1 volumeName string; 2 volumeNamespace string; 3 fsType string; 4 readOnly bool; 5 secretRef ref:@core.v1.LocalObjectReference
@core.v1.Sysctl 1 name string?; 2 value string?
@core.v1.TCPSocketAction 1 port int-or-string?; 2 host string
@core.v1.Taint 1 key string?; 2 value string; 3 effect string?; 4 timeAdded date-time?
@core.v1.Toleration 1 key string; 2 operator string; 3 value string; 4 effect string; 5 tolerationSeconds int64?
@core.v1.TopologySelectorLabelRequirement 1 key string?; 2 values []string
@core.v1.TopologySelectorTerm 1 matchLabelExpressions []ref:@core.v1.TopologySelectorLabelRequirement
@core.v1.TopologySpreadConstraint 1 maxSkew int32?; 2 topologyKey string?; 3 whenUnsatisfiable string?; 4 labelSelector ref:~LabelSelector; 5 minDomains int32?; 6 nodeAffinityPolicy string?; 7 nodeTaintsPolicy string?; 8 matchLabelKeys []string
@core.v1.TypedLocalObjectReference 1 apiGroup string?; 2 kind string?; 3 name string?
@core.v1.TypedObjectReference 1 apiGroup string?; 2 kind string?; 3 name string?; 4 namespace string?
@core.v1.Volume 1 name string?; 2 volumeSource ref:@core.v1.VolumeSource^
@core.v1.VolumeDevice 1 name string?; 2 devicePath string?
@core.v1.VolumeMount 1 name string?; 2 readOnly bool; 3 mountPath string?; 4 subPath string; 5 mountPropagation string?; 6 subPathExpr string; 7 recursiveReadOnly string?
@core.v1.VolumeMountStatus 1 name string?; 2 mountPath string?; 3 readOnly bool; 4 recursiveReadOnly string?; 5 volumeStatus ref:@core.v1.VolumeStatus
@core.v1.VolumeNodeAffinity 1 required ref:@core.v1.NodeSelector
@core.v1.VolumeProjection 1 secret ref:@core.v1.SecretProjection; 2 downwardAPI ref:@core.v1.DownwardAPIProjection; 3 configMap ref:@core.v1.ConfigMapProjection; 4 serviceAccountToken ref:@core.v1.ServiceAccountTokenProjection; 5 clusterTrustBundle ref:@core.v1.ClusterTrustBundleProjection; 6 podCertificate ref:@core.v1.PodCertificateProjection
@core.v1.VolumeResourceRequirements 1 limits map:quantity; 2 requests map:quantity
@core.v1.VolumeSource 1 hostPath ref:@core.v1.HostPathVolumeSource; 2 emptyDir ref:@core.v1.EmptyDirVolumeSource; 3 gcePersistentDisk ref:@core.v1.GCEPersistentDiskVolumeSource; 4 awsElasticBlockStore ref:@core.v1.AWSElasticBlockStoreVolumeSource; 5 gitRepo ref:@core.v1.GitRepoVolumeSource; 6 secret ref:@core.v1.SecretVolumeSource; 7 nfs ref:@core.v1.NFSVolumeSource; 8 iscsi ref:@core.v1.ISCSIVolumeSource; 9 glusterfs ref:@core.v1.GlusterfsVolumeSource; 10 persistentVolumeClaim ref:@core.v1.PersistentVolumeClaimVolumeSource; 11 rbd ref:@core.v1.RBDVolumeSource; 12 flexVolume ref:@core.v1.FlexVolumeSource; 13 cinder ref:@core.v1.CinderVolumeSource; 14 cephfs ref:@core.v1.CephFSVolumeSource; 15 flocker ref:@core.v1.FlockerVolumeSource; 16 downwardAPI ref:@core.v1.DownwardAPIVolumeSource; 17 fc ref:@core.v1.FCVolumeSource; 18 azureFile ref:@core.v1.AzureFileVolumeSource; 19 configMap ref:@core.v1.ConfigMapVolumeSource; 20 vsphereVolume ref:@core.v1.VsphereVirtualDiskVolumeSource; 21 quobyte ref:@core.v1.QuobyteVolumeSource; 22 azureDisk ref:@core.v1.AzureDiskVolumeSource; 23 photonPersistentDisk ref:@core.v1.PhotonPersistentDiskVolumeSource; 24 portworxVolume ref:@core.v1.PortworxVolumeSource; 25 scaleIO ref:@core.v1.ScaleIOVolumeSource; 26 projected ref:@core.v1.ProjectedVolumeSource; 27 storageos ref:@core.v1.StorageOSVolumeSource; 28 csi ref:@core.v1.CSIVolumeSource; 29 ephemeral ref:@core.v1.EphemeralVolumeSource; 30 image ref:@core.v1.ImageVolumeSource
@core.v1.VolumeStatus 1 image ref:@core.v1.ImageVolumeStatus
@core.v1.VsphereVirtualDiskVolumeSource 1 volumePath string?; 2 fsType string; 3 storagePolicyName string; 4 storagePolicyID string
@core.v1.WeightedPodAffinityTerm 1 weight int32?; 2 podAffinityTerm ref:@core.v1.PodAffinityTerm
@core.v1.WindowsSecurityContextOptions 1 gmsaCredentialSpecName string?; 2 gmsaCredentialSpec string?; 3 runAsUserName string?; 4 hostProcess bool?
@discovery.v1.Endpoint 1 addresses []string; 2 conditions ref:@discovery.v1.EndpointConditions; 3 hostname string?; 4 targetRef ref:@core.v1.ObjectReference; 5 deprecatedTopology map:string; 6 nodeName string?; 7 zone string?; 8 hints ref:@discovery.v1.EndpointHints
@discovery.v1.EndpointConditions 1 ready bool?; 2 serving bool?; 3 terminating bool?
@discovery.v1.EndpointHints 1 forZones []ref:@discovery.v1.ForZone; 2 forNodes []ref:@discovery.v1.ForNode
@discovery.v1.EndpointPort 1 name string?; 2 protocol string?; 3 port int32?; 4 appProtocol string?
@discovery.v1.EndpointSlice 1 metadata ref:~ObjectMeta; 2 endpoints []ref:@discovery.v1.Endpoint; 3 ports []ref:@discovery.v1.EndpointPort; 4 addressType string?
@discovery.v1.ForNode 1 name string?
@discovery.v1.ForZone 1 name string?
@events.v1.Event 1 metadata ref:~ObjectMeta; 2 eventTime date-time-micro?; 3 series ref:@events.v1.EventSeries; 4 reportingController string; 5 reportingInstance string; 6 action string; 7 reason string; 8 regarding ref:@core.v1.ObjectReference; 9 related ref:@core.v1.ObjectReference; 10 note string; 11 type string; 12 deprecatedSource ref:@core.v1.EventSource; 13 deprecatedFirstTimestamp date-time; 14 deprecatedLastTimestamp date-time; 15 deprecatedCount int32
@events.v1.EventSeries 1 count int32?; 2 lastObservedTime date-time-micro?
@flowcontrol.v1.ExemptPriorityLevelConfiguration 1 nominalConcurrencyShares int32?; 2 lendablePercent int32?
@flowcontrol.v1.FlowDistinguisherMethod 1 type string?
@flowcontrol.v1.FlowSchema 1 metadata ref:~ObjectMeta; 2 spec ref:@flowcontrol.v1.FlowSchemaSpec; 3 status ref:@flowcontrol.v1.FlowSchemaStatus
@flowcontrol.v1.FlowSchemaCondition 1 type string; 2 status string; 3 lastTransitionTime date-time; 4 reason string; 5 message string
@flowcontrol.v1.FlowSchemaSpec 1 priorityLevelConfiguration ref:@flowcontrol.v1.PriorityLevelConfigurationReference; 2 matchingPrecedence int32?; 3 distinguisherMethod ref:@flowcontrol.v1.FlowDistinguisherMethod; 4 rules []ref:@flowcontrol.v1.PolicyRulesWithSubjects
@flowcontrol.v1.FlowSchemaStatus 1 conditions []ref:@flowcontrol.v1.FlowSchemaCondition
@flowcontrol.v1.GroupSubject 1 name string?
@flowcontrol.v1.LimitResponse 1 type string?; 2 queuing ref:@flowcontrol.v1.QueuingConfiguration
@flowcontrol.v1.LimitedPriorityLevelConfiguration 1 nominalConcurrencyShares int32?; 2 limitResponse ref:@flowcontrol.v1.LimitResponse; 3 lendablePercent int32?; 4 borrowingLimitPercent int32?
@flowcontrol.v1.NonResourcePolicyRule 1 verbs []string; 6 nonResourceURLs []string
@flowcontrol.v1.PolicyRulesWithSubjects 1 subjects []ref:@flowcontrol.v1.Subject; 2 resourceRules []ref:@flowcontrol.v1.ResourcePolicyRule; 3 nonResourceRules []ref:@flowcontrol.v1.NonResourcePolicyRule
@flowcontrol.v1.PriorityLevelConfiguration 1 metadata ref:~ObjectMeta; 2 spec ref:@flowcontrol.v1.PriorityLevelConfigurationSpec; 3 status ref:@flowcontrol.v1.PriorityLevelConfigurationStatus
@flowcontrol.v1.PriorityLevelConfigurationCondition 1 type string; 2 status string; 3 lastTransitionTime date-time; 4 reason string; 5 message string
@flowcontrol.v1.PriorityLevelConfigurationReference 1 name string?
@flowcontrol.v1.PriorityLevelConfigurationSpec 1 type string?; 2 limited ref:@flowcontrol.v1.LimitedPriorityLevelConfiguration; 3 exempt ref:@flowcontrol.v1.ExemptPriorityLevelConfiguration
@flowcontrol.v1.PriorityLevelConfigurationStatus 1 conditions []ref:@flowcontrol.v1.PriorityLevelConfigurationCondition
@flowcontrol.v1.QueuingConfiguration 1 queues int32?; 2 handSize int32?; 3 queueLengthLimit int32?
@flowcontrol.v1.ResourcePolicyRule 1 verbs []string; 2 apiGroups []string; 3 resources []string; 4 clusterScope bool; 5 namespaces []string
@flowcontrol.v1.ServiceAccountSubject 1 namespace string?; 2 name string?
@flowcontrol.v1.Subject 1 kind string?; 2 user ref:@flowcontrol.v1.UserSubject; 3 group ref:@flowcontrol.v1.GroupSubject; 4 serviceAccount ref:@flowcontrol.v1.ServiceAccountSubject
@flowcontrol.v1.UserSubject 1 name string?
@networking.v1.HTTPIngressPath 1 path string; 2 backend ref:@networking.v1.IngressBackend; 3 pathType string?
@networking.v1.HTTPIngressRuleValue 1 paths []ref:@networking.v1.HTTPIngressPath
@networking.v1.IPAddress 1 metadata ref:~ObjectMeta; 2 spec ref:@networking.v1.IPAddressSpec
@networking.v1.IPAddressSpec 1 parentRef ref:@networking.v1.ParentReference
@networking.v1.IPBlock 1 cidr string?; 2 except []string
@networking.v1.Ingress 1 metadata ref:~ObjectMeta; 2 spec ref:@networking.v1.IngressSpec; 3 status ref:@networking.v1.IngressStatus
@networking.v1.IngressBackend 3 resource ref:@core.v1.TypedLocalObjectReference; 4 service ref:@networking.v1.IngressServiceBackend
@networking.v1.IngressClass 1 metadata ref:~ObjectMeta; 2 spec ref:@networking.v1.IngressClassSpec
@networking.v1.IngressClassParametersReference 1 apiGroup string?; 2 kind string?; 3 name string?; 4 scope string?; 5 namespace string?
@networking.v1.IngressClassSpec 1 controller string; 2 parameters ref:@networking.v1.IngressClassParametersReference
@networking.v1.IngressLoadBalancerIngress 1 ip string; 2 hostname string; 4 ports []ref:@networking.v1.IngressPortStatus
@networking.v1.IngressLoadBalancerStatus 1 ingress []ref:@networking.v1.IngressLoadBalancerIngress
@networking.v1.IngressPortStatus 1 port int32?; 2 protocol string?; 3 error string?
@networking.v1.IngressRule 1 host string; 2 ingressRuleValue ref:@networking.v1.IngressRuleValue^
@networking.v1.IngressRuleValue 1 http ref:@networking.v1.HTTPIngressRuleValue
@networking.v1.IngressServiceBackend 1 name string?; 2 port ref:@networking.v1.ServiceBackendPort
@networking.v1.IngressSpec 1 defaultBackend ref:@networking.v1.IngressBackend; 2 tls []ref:@networking.v1.IngressTLS; 3 rules []ref:@networking.v1.IngressRule; 4 ingressClassName string?
@networking.v1.IngressStatus 1 loadBalancer ref:@networking.v1.IngressLoadBalancerStatus
@networking.v1.IngressTLS 1 hosts []string; 2 secretName string
@networking.v1.NetworkPolicy 1 metadata ref:~ObjectMeta; 2 spec ref:@networking.v1.NetworkPolicySpec
@networking.v1.NetworkPolicyEgressRule 1 ports []ref:@networking.v1.NetworkPolicyPort; 2 to []ref:@networking.v1.NetworkPolicyPeer
@networking.v1.NetworkPolicyIngressRule 1 ports []ref:@networking.v1.NetworkPolicyPort; 2 from []ref:@networking.v1.NetworkPolicyPeer
@networking.v1.NetworkPolicyPeer 1 podSelector ref:~LabelSelector; 2 namespaceSelector ref:~LabelSelector; 3 ipBlock ref:@networking.v1.IPBlock
@networking.v1.NetworkPolicyPort 1 protocol string?; 2 port int-or-string?; 3 endPort int32?
@networking.v1.NetworkPolicySpec 1 podSelector ref:~LabelSelector; 2 ingress []ref:@networking.v1.NetworkPolicyIngressRule; 3 egress []ref:@networking.v1.NetworkPolicyEgressRule; 4 policyTypes []string
@networking.v1.ParentReference 1 group string; 2 resource string; 3 namespace string; 4 name string
@networking.v1.ServiceBackendPort 1 name string; 2 number int32
@networking.v1.ServiceCIDR 1 metadata ref:~ObjectMeta; 2 spec ref:@networking.v1.ServiceCIDRSpec; 3 status ref:@networking.v1.ServiceCIDRStatus
@networking.v1.ServiceCIDRSpec 1 cidrs []string
@networking.v1.ServiceCIDRStatus 1 conditions []ref:~Condition
@node.v1.Overhead 1 podFixed map:quantity
@node.v1.RuntimeClass 1 metadata ref:~ObjectMeta; 2 handler string?; 3 overhead ref:@node.v1.Overhead; 4 scheduling ref:@node.v1.Scheduling
@node.v1.Scheduling 1 nodeSelector map:string; 2 tolerations []ref:@core.v1.Toleration
@policy.v1.Eviction 1 metadata ref:~ObjectMeta; 2 deleteOptions ref:~DeleteOptions
@policy.v1.PodDisruptionBudget 1 metadata ref:~ObjectMeta; 2 spec ref:@policy.v1.PodDisruptionBudgetSpec; 3 status ref:@policy.v1.PodDisruptionBudgetStatus
@policy.v1.PodDisruptionBudgetSpec 1 minAvailable int-or-string?; 2 selector ref:~LabelSelector; 3 maxUnavailable int-or-string?; 4 unhealthyPodEvictionPolicy string?
@policy.v1.PodDisruptionBudgetStatus 1 observedGeneration int64; 2 disruptedPods map:date-time; 3 disruptionsAllowed int32?; 4 currentHealthy int32?; 5 desiredHealthy int32?; 6 expectedPods int32?; 7 conditions []ref:~Condition
@rbac.v1.AggregationRule 1 clusterRoleSelectors []ref:~LabelSelector
@rbac.v1.ClusterRole 1 metadata ref:~ObjectMeta; 2 rules []ref:@rbac.v1.PolicyRule; 3 aggregationRule ref:@rbac.v1.AggregationRule
@rbac.v1.ClusterRoleBinding 1 metadata ref:~ObjectMeta; 2 subjects []ref:@rbac.v1.Subject; 3 roleRef ref:@rbac.v1.RoleRef
@rbac.v1.PolicyRule 1 verbs []string; 2 apiGroups []string; 3 resources []string; 4 resourceNames []string; 5 nonResourceURLs []string
@rbac.v1.Role 1 metadata ref:~ObjectMeta; 2 rules []ref:@rbac.v1.PolicyRule
@rbac.v1.RoleBinding 1 metadata ref:~ObjectMeta; 2 subjects []ref:@rbac.v1.Subject; 3 roleRef ref:@rbac.v1.RoleRef
@rbac.v1.RoleRef 1 apiGroup string?; 2 kind string?; 3 name string?
@rbac.v1.Subject 1 kind string?; 2 apiGroup string; 3 name string?; 4 namespace string
@scheduling.v1.PriorityClass 1 metadata ref:~ObjectMeta; 2 value int32?; 3 globalDefault bool; 4 description string; 5 preemptionPolicy string?
@storage.v1.CSIDriver 1 metadata ref:~ObjectMeta; 2 spec ref:@storage.v1.CSIDriverSpec
@storage.v1.CSIDriverSpec 1 attachRequired bool?; 2 podInfoOnMount bool?; 3 volumeLifecycleModes []string; 4 storageCapacity bool?; 5 fsGroupPolicy string?; 6 tokenRequests []ref:@storage.v1.TokenRequest; 7 requiresRepublish bool?; 8 seLinuxMount bool?; 9 nodeAllocatableUpdatePeriodSeconds int64?; 10 serviceAccountTokenInSecrets bool?; 11 preventPodSchedulingIfMissing bool?
@storage.v1.CSINode 1 metadata ref:~ObjectMeta; 2 spec ref:@storage.v1.CSINodeSpec
@storage.v1.CSINodeDriver 1 name string?; 2 nodeID string?; 3 topologyKeys []string; 4 allocatable ref:@storage.v1.VolumeNodeResources
@storage.v1.CSINodeSpec 1 drivers []ref:@storage.v1.CSINodeDriver
@storage.v1.CSIStorageCapacity 1 metadata ref:~ObjectMeta; 2 nodeTopology ref:~LabelSelector; 3 storageClassName string?; 4 capacity quantity?; 5 maximumVolumeSize quantity?
@storage.v1.StorageClass 1 metadata ref:~ObjectMeta; 2 provisioner string?; 3 parameters map:string; 4 reclaimPolicy string?; 5 mountOptions []string; 6 allowVolumeExpansion bool?; 7 volumeBindingMode string?; 8 allowedTopologies []ref:@core.v1.TopologySelectorTerm
@storage.v1.TokenRequest 1 audience string?; 2 expirationSeconds int64?
@storage.v1.VolumeAttachment 1 metadata ref:~ObjectMeta; 2 spec ref:@storage.v1.VolumeAttachmentSpec; 3 status ref:@storage.v1.VolumeAttachmentStatus
@storage.v1.VolumeAttachmentSource 1 persistentVolumeName string?; 2 inlineVolumeSpec ref:@core.v1.PersistentVolumeSpec
@storage.v1.VolumeAttachmentSpec 1 attacher string?; 2 source ref:@storage.v1.VolumeAttachmentSource; 3 nodeName string?
@storage.v1.VolumeAttachmentStatus 1 attached bool?; 2 attachmentMetadata map:string; 3 attachError ref:@storage.v1.VolumeError; 4 detachError ref:@storage.v1.VolumeError
@storage.v1.VolumeAttributesClass 1 metadata ref:~ObjectMeta; 2 driverName string?; 3 parameters map:string
@storage.v1.VolumeError 1 time date-time; 2 message string; 3 errorCode int32?
@storage.v1.VolumeNodeResources 1 count int32?
~Condition 1 type string?; 2 status string?; 3 observedGeneration int64; 4 lastTransitionTime date-time?; 5 reason string?; 6 message string?
~DeleteOptions 1 gracePeriodSeconds int64?; 2 preconditions ref:~Preconditions; 3 orphanDependents bool?; 4 propagationPolicy string?; 5 dryRun []string; 6 ignoreStoreReadErrorWithClusterBreakingPotential bool?
~FieldSelectorRequirement 1 key string?; 2 operator string?; 3 values []string
~LabelSelector 1 matchLabels map:string; 2 matchExpressions []ref:~LabelSelectorRequirement
~LabelSelectorRequirement 1 key string?; 2 operator string?; 3 values []string
~ListMeta 1 selfLink string; 2 resourceVersion string; 3 continue string; 4 remainingItemCount int64?; 5 shardInfo ref:~ShardInfo
~ManagedFieldsEntry 1 manager string; 2 operation string; 3 apiVersion string; 4 time date-time; 6 fieldsType string; 7 fieldsV1 raw-object; 8 subresource string
~ObjectMeta 1 name string; 2 generateName string; 3 namespace string; 4 selfLink string; 5 uid string; 6 resourceVersion string; 7 generation int64; 8 creationTimestamp date-time; 9 deletionTimestamp date-time; 10 deletionGracePeriodSeconds int64?; 11 labels map:string; 12 annotations map:string; 13 ownerReferences []ref:~OwnerReference; 14 finalizers []string; 17 managedFields []ref:~ManagedFieldsEntry
~OwnerReference 1 kind string?; 3 name string?; 4 uid string?; 5 apiVersion string?; 6 controller bool?; 7 blockOwnerDeletion bool?
~Preconditions 1 uid string?; 2 resourceVersion string?
~ShardInfo 1 selector string?
~Status 1 metadata ref:~ListMeta; 2 status string; 3 message string; 4 reason string; 5 details ref:~StatusDetails; 6 code int32
~StatusCause 1 reason string; 2 message string; 3 field string
~StatusDetails 1 name string; 2 group string; 3 kind string; 4 causes []ref:~StatusCause; 5 retryAfterSeconds int32; 6 uid string
io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService 1 metadata ref:~ObjectMeta; 2 spec ref:io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceSpec; 3 status ref:io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus
io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceCondition 1 type string?; 2 status string?; 3 lastTransitionTime date-time; 4 reason string; 5 message string
io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceSpec 1 service ref:io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference; 2 group string; 3 version string; 4 insecureSkipTLSVerify bool; 5 caBundle bytes; 7 groupPriorityMinimum int32?; 8 versionPriority int32?
io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus 1 conditions []ref:io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIServiceCondition
io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.ServiceReference 1 namespace string; 2 name string; 3 port int32?
`;
