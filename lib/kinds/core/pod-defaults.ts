// Defaults of pods and pod templates. Source: pkg/apis/core/v1/defaults.go and conversion.go.
// In Go an absent text is the empty text, so `||` stands where upstream tests for "", and `??` where it tests for nil.
import { formatQuantity, milliValue, quantityOfMilli } from '#lib/machinery/quantity.ts';
import type {
  Container, EphemeralContainer, EnvVar, HTTPGetAction, LifecycleHandler, Pod, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, Volume,
} from '../types/core-v1.ts';

/** 0644 */
const READABLE_BY_ALL = 0o644;

/** Tag of an image reference; `latest` when it names neither tag nor digest. Source: pkg/util/parsers. */
function imageTag(image: string): string {
  const [reference = '', digest] = image.split('@');
  const lastPart = reference.slice(reference.lastIndexOf('/') + 1);
  const colon = lastPart.indexOf(':');
  if (colon >= 0) return lastPart.slice(colon + 1);
  return digest === undefined ? 'latest' : '';
}

function defaultHttpGet(action: HTTPGetAction | undefined): void {
  if (action === undefined) return;
  action.path ||= '/';
  action.scheme ||= 'HTTP';
}

function defaultProbe(probe: Probe | undefined): void {
  if (probe === undefined) return;
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
  defaultHttpGet(probe.httpGet);
  if (probe.grpc !== undefined) probe.grpc.service ??= '';
}

function defaultHandler(handler: LifecycleHandler | undefined): void {
  defaultHttpGet(handler?.httpGet);
}

function defaultEnvironment(env: EnvVar[] | undefined): void {
  for (const { valueFrom } of env ?? []) {
    if (valueFrom?.fieldRef !== undefined) valueFrom.fieldRef.apiVersion ||= 'v1';
    if (valueFrom?.resourceFieldRef !== undefined) valueFrom.resourceFieldRef.divisor ??= '0';
    if (valueFrom?.fileKeyRef !== undefined) valueFrom.fileKeyRef.optional ??= false;
  }
}

/** Amounts finer than a thousandth are rounded up. */
function roundToMilli(amounts: Record<string, string> | undefined): void {
  for (const [name, text] of Object.entries(amounts ?? {})) {
    if (/[nu]$/.test(text) && amounts !== undefined) amounts[name] = formatQuantity(quantityOfMilli(milliValue(text)));
  }
}
export function defaultResources(resources: ResourceRequirements | undefined): void {
  roundToMilli(resources?.limits);
  roundToMilli(resources?.requests);
}

function defaultContainer(container: Container | EphemeralContainer): void {
  container.imagePullPolicy ||= imageTag(container.image ?? '') === 'latest' ? 'Always' : 'IfNotPresent';
  container.terminationMessagePath ||= '/dev/termination-log';
  container.terminationMessagePolicy ||= 'File';
  container.resources ??= {};
  for (const port of container.ports ?? []) port.protocol ||= 'TCP';
  defaultEnvironment(container.env);
  defaultResources(container.resources);
  defaultProbe(container.livenessProbe);
  defaultProbe(container.readinessProbe);
  defaultProbe(container.startupProbe);
  defaultHandler(container.lifecycle?.postStart);
  defaultHandler(container.lifecycle?.preStop);
}

function defaultVolume(volume: Volume): void {
  // Every key but the name is a source.
  if (Object.entries(volume).every(([key, value]) => key === 'name' || value === undefined)) volume.emptyDir = {};
  if (volume.secret !== undefined) volume.secret.defaultMode ??= READABLE_BY_ALL;
  if (volume.configMap !== undefined) volume.configMap.defaultMode ??= READABLE_BY_ALL;
  if (volume.hostPath !== undefined) volume.hostPath.type ??= '';
  if (volume.downwardAPI !== undefined) {
    volume.downwardAPI.defaultMode ??= READABLE_BY_ALL;
    for (const { fieldRef, resourceFieldRef } of volume.downwardAPI.items ?? []) {
      if (fieldRef !== undefined) fieldRef.apiVersion ||= 'v1';
      if (resourceFieldRef !== undefined) resourceFieldRef.divisor ??= '0';
    }
  }
  if (volume.projected !== undefined) {
    volume.projected.defaultMode ??= READABLE_BY_ALL;
    for (const { downwardAPI, serviceAccountToken } of volume.projected.sources ?? []) {
      if (serviceAccountToken !== undefined) serviceAccountToken.expirationSeconds ??= 3600;
      for (const { fieldRef } of downwardAPI?.items ?? []) if (fieldRef !== undefined) fieldRef.apiVersion ||= 'v1';
    }
  }
  if (volume.iscsi !== undefined) volume.iscsi.iscsiInterface ||= 'default';
  if (volume.image !== undefined) volume.image.pullPolicy ||= imageTag(volume.image.reference ?? '') === 'latest' ? 'Always' : 'IfNotPresent';
}

/** What pods and templates share. */
function defaultPodSpec(spec: PodSpec): void {
  spec.containers ??= [];
  spec.restartPolicy ||= 'Always';
  spec.dnsPolicy ||= 'ClusterFirst';
  spec.schedulerName ||= 'default-scheduler';
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= 30;
  // The old name of the field always mirrors the new one.
  spec.serviceAccountName ||= spec.serviceAccount;
  if (spec.serviceAccountName) spec.serviceAccount = spec.serviceAccountName;
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  for (const container of [...spec.containers, ...(spec.initContainers ?? []), ...(spec.ephemeralContainers ?? [])]) defaultContainer(container);
  defaultResources(spec.resources);
  roundToMilli(spec.overhead);
}

/** Whoever sets only a limit asks for as much. */
function requestLimits(resources: ResourceRequirements | undefined): void {
  if (resources?.limits === undefined) return;
  resources.requests ??= {};
  for (const [name, limit] of Object.entries(resources.limits)) resources.requests[name] ??= limit;
}

export function defaultPod(pod: Pod): void {
  // A body may leave out what the type requires.
  pod.spec ??= { containers: [] };
  defaultPodSpec(pod.spec);
  const { spec } = pod;
  for (const { resources } of [...spec.containers, ...(spec.initContainers ?? [])]) requestLimits(resources);
  requestLimits(spec.resources);
  spec.enableServiceLinks ??= true;
  if (spec.hostNetwork === true) {
    for (const port of [...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ ports }) => ports ?? [])) port.hostPort ||= port.containerPort;
  }
  syncAddresses(pod);
}

/** podIP is always the first of podIPs. */
function syncAddresses({ status }: Pod): void {
  if (status === undefined) return;
  if (status.podIPs?.[0] !== undefined) status.podIP = status.podIPs[0].ip;
  else if (status.podIP) status.podIPs = [{ ip: status.podIP }];
}

export function defaultPodTemplate(template: PodTemplateSpec): void {
  template.metadata ??= {};
  template.spec ??= { containers: [] };
  defaultPodSpec(template.spec);
}
