// Names of attributes of spans: OpenTelemetry's semantic conventions where they have one, ours (`kubreak.`) where not.

export const attribute = {
  // OpenTelemetry, semantic conventions 1.40
  httpMethod: 'http.request.method',
  httpStatus: 'http.response.status_code',
  urlPath: 'url.path',
  userAgent: 'user_agent.original',
  clientAddress: 'client.address',
  userName: 'user.name',
  errorType: 'error.type',
  rpcSystem: 'rpc.system',
  rpcService: 'rpc.service',
  rpcMethod: 'rpc.method',
  dbOperation: 'db.operation.name',
  namespace: 'k8s.namespace.name',
  nodeName: 'k8s.node.name',
  podName: 'k8s.pod.name',
  podUid: 'k8s.pod.uid',
  containerName: 'k8s.container.name',
  serviceName: 'service.name',
  serviceVersion: 'service.version',
  hostName: 'host.name',
  processId: 'process.pid',
  // Of upstream's kubelet: `syncPod`
  updateType: 'k8s.pod.update_type',
  // Ours
  /** `group/resource`, or the resource alone of the core group. */
  resource: 'kubreak.object.resource',
  objectName: 'kubreak.object.name',
  uid: 'kubreak.object.uid',
  /** uids of the owners. */
  owners: 'kubreak.object.owner_uids',
  /** uids of other objects that the write is about: the pods of an EndpointSlice, the object of an Event. */
  about: 'kubreak.object.about_uids',
  /** The resourceVersion that was acted on, and the one that was written. */
  versionRead: 'kubreak.resource_version.read',
  versionWritten: 'kubreak.resource_version.written',
  /** `uid@resourceVersion` of each object that was acted on, where there are several. */
  objectsRead: 'kubreak.objects_read',
  /** What a write changed, or what was decided; for people. */
  what: 'kubreak.what',
  controller: 'kubreak.controller',
  /** Milliseconds that the work waited for its turn. */
  queuedMs: 'kubreak.queued_ms',
} as const;
