// The environment of a container: service variables, envFrom, env, and $(NAME) references.
// Source: pkg/kubelet/envvars, third_party/forked/golang/expansion, kubelet_pods.go makeEnvironmentVariables.
import type { ConfigMap, Container, EnvVar, Pod, Secret, Service } from '#lib/kinds/types/core-v1.ts';
import { fieldValue, resourceValue, type FieldContext } from './downward-api.ts';

/** A container cannot be configured; the text is shown with reason CreateContainerConfigError. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

/** Referenced objects, read before; undefined: it does not exist. */
export interface ReferencedObjects {
  readonly configMap: (name: string) => ConfigMap | undefined;
  readonly secret: (name: string) => Secret | undefined;
}

const OPERATOR = '$';

/** Replaces `$(NAME)`; `$$` is a literal `$`; unknown names stay as written. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  let result = '';
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index);
    if (character !== OPERATOR || index + 1 >= text.length) {
      result += character;
      continue;
    }
    const next = text.charAt(index + 1);
    if (next === OPERATOR) {
      result += OPERATOR;
      index += 1;
    } else if (next === '(') {
      const end = text.indexOf(')', index + 2);
      if (end < 0) {
        result += '$(';
        index += 1;
        continue;
      }
      const name = text.slice(index + 2, end);
      result += lookup(name) ?? `$(${name})`;
      index = end;
    } else {
      result += character + next;
      index += 1;
    }
  }
  return result;
}

const variableName = (name: string): string => name.toUpperCase().replaceAll('-', '_');
const hasClusterIp = ({ spec }: Service): boolean => spec.clusterIP !== undefined && spec.clusterIP !== '' && spec.clusterIP !== 'None';
const hostPort = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`);

/** Variables of one service, as Docker links wrote them. */
export function variablesOfService(service: Service): [string, string][] {
  const prefix = variableName(service.metadata.name);
  const ip = service.spec.clusterIP ?? '';
  const ports = service.spec.ports ?? [];
  const [first] = ports;
  const variables: [string, string][] = [[`${prefix}_SERVICE_HOST`, ip], [`${prefix}_SERVICE_PORT`, String(first?.port ?? '')]];
  for (const { name, port } of ports) if (name !== undefined && name !== '') variables.push([`${prefix}_SERVICE_PORT_${variableName(name)}`, String(port)]);
  ports.forEach(({ port, protocol = 'TCP' }, index) => {
    const url = `${protocol.toLowerCase()}://${hostPort(ip, port)}`;
    const portPrefix = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
    if (index === 0) variables.push([`${prefix}_PORT`, url]);
    variables.push([portPrefix, url], [`${portPrefix}_PROTO`, protocol.toLowerCase()], [`${portPrefix}_PORT`, String(port)], [`${portPrefix}_ADDR`, ip]);
  });
  return variables;
}

/** Services whose variables a pod gets: those of its namespace if it wants links, and the API server's always. */
export function serviceVariables(services: readonly Service[], namespace: string, enableServiceLinks: boolean): Map<string, string> {
  const isApiserver = ({ metadata }: Service): boolean => metadata.namespace === 'default' && metadata.name === 'kubernetes';
  const chosen = new Map<string, Service>();
  for (const service of services) {
    if (!hasClusterIp(service)) continue;
    const { namespace: own, name } = service.metadata;
    if (own === namespace && enableServiceLinks) chosen.set(name, service);
    else if (isApiserver(service) && !(chosen.has(name) && enableServiceLinks)) chosen.set(name, service);
  }
  return new Map([...chosen.values()].flatMap(variablesOfService));
}

const decode = (base64: string): string => new TextDecoder().decode(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
/** Text of a Secret's or ConfigMap's key. */
const secretText = (secret: Secret, key: string): string | undefined => {
  const value = secret.data?.[key];
  return value === undefined ? undefined : decode(value);
};

export interface EnvironmentInputs {
  readonly pod: Pod;
  readonly container: Container;
  readonly services: readonly Service[];
  readonly objects: ReferencedObjects;
  readonly context: FieldContext;
}

/** Throws ConfigurationError when a reference that is not optional leads nowhere. */
export function environmentOf({ pod, container, services, objects, context }: EnvironmentInputs): Map<string, string> {
  const namespace = pod.metadata.namespace ?? 'default';
  const linked = serviceVariables(services, namespace, pod.spec.enableServiceLinks !== false);
  const result = new Map<string, string>();
  for (const { configMapRef, secretRef, prefix = '' } of container.envFrom ?? []) {
    if (configMapRef) {
      const name = configMapRef.name ?? '';
      const configMap = objects.configMap(name);
      if (!configMap && configMapRef.optional !== true) throw new ConfigurationError(`configmap "${name}" not found`);
      for (const [key, value] of Object.entries(configMap?.data ?? {})) result.set(prefix + key, value);
    }
    if (secretRef) {
      const name = secretRef.name ?? '';
      const secret = objects.secret(name);
      if (!secret && secretRef.optional !== true) throw new ConfigurationError(`secret "${name}" not found`);
      for (const [key, value] of Object.entries(secret?.data ?? {})) result.set(prefix + key, decode(value));
    }
  }
  const own = new Map<string, string>();
  for (const variable of container.env ?? []) {
    const value = valueOf(variable, { pod, container, objects, context, namespace }, (name) => own.get(name) ?? linked.get(name) ?? result.get(name));
    if (value === undefined) continue;
    own.set(variable.name, value);
    result.set(variable.name, value);
  }
  for (const [name, value] of linked) if (!result.has(name)) result.set(name, value);
  return result;
}

interface ValueInputs {
  readonly pod: Pod;
  readonly container: Container;
  readonly objects: ReferencedObjects;
  readonly context: FieldContext;
  readonly namespace: string;
}

function valueOf({ value, valueFrom }: EnvVar, { pod, container, objects, context, namespace }: ValueInputs, lookup: (name: string) => string | undefined): string | undefined {
  if (value !== undefined && value !== '') return expand(value, lookup);
  if (valueFrom?.fieldRef) return fieldValue(pod, valueFrom.fieldRef.fieldPath, context);
  if (valueFrom?.resourceFieldRef) return resourceValue(pod, container, valueFrom.resourceFieldRef, context);
  if (valueFrom?.configMapKeyRef) {
    const { name = '', key, optional } = valueFrom.configMapKeyRef;
    const configMap = objects.configMap(name);
    if (!configMap && optional !== true) throw new ConfigurationError(`configmap "${name}" not found`);
    const found = configMap?.data?.[key];
    if (found === undefined && optional !== true) throw new ConfigurationError(`couldn't find key ${key} in ConfigMap ${namespace}/${name}`);
    return found;
  }
  if (valueFrom?.secretKeyRef) {
    const { name = '', key, optional } = valueFrom.secretKeyRef;
    const secret = objects.secret(name);
    if (!secret && optional !== true) throw new ConfigurationError(`secret "${name}" not found`);
    const found = secret && secretText(secret, key);
    if (found === undefined && optional !== true) throw new ConfigurationError(`couldn't find key ${key} in Secret ${namespace}/${name}`);
    return found;
  }
  return '';
}

/** Names of the ConfigMaps and Secrets that the pod's environments, volumes and pulls need. */
export function referencesOf(pod: Pod): { readonly configMaps: Set<string>; readonly secrets: Set<string> } {
  const configMaps = new Set<string>();
  const secrets = new Set<string>();
  const add = (set: Set<string>, name: string | undefined): void => void (name !== undefined && name !== '' && set.add(name));
  for (const { env = [], envFrom = [] } of [...(pod.spec.initContainers ?? []), ...pod.spec.containers, ...(pod.spec.ephemeralContainers ?? [])]) {
    for (const { configMapRef, secretRef } of envFrom) {
      add(configMaps, configMapRef?.name);
      add(secrets, secretRef?.name);
    }
    for (const { valueFrom } of env) {
      add(configMaps, valueFrom?.configMapKeyRef?.name);
      add(secrets, valueFrom?.secretKeyRef?.name);
    }
  }
  for (const { configMap, secret, projected } of pod.spec.volumes ?? []) {
    add(configMaps, configMap?.name);
    add(secrets, secret?.secretName);
    for (const source of projected?.sources ?? []) {
      add(configMaps, source.configMap?.name);
      add(secrets, source.secret?.name);
    }
  }
  for (const { name } of pod.spec.imagePullSecrets ?? []) add(secrets, name);
  return { configMaps, secrets };
}
