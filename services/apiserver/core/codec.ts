// Between an object and its bytes in storage. Stored are JSON texts without resourceVersion, which is etcd's revision.
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Fields in the order in which upstream writes them. Returns a new top level; the rest is shared. */
export function inWireOrder<T extends KubernetesObject>(object: T): T {
  const { kind, apiVersion, metadata, ...rest } = object;
  return { kind, apiVersion, metadata, ...rest } as unknown as T;
}

export function encodeStored(object: KubernetesObject): Uint8Array {
  const { resourceVersion: _, ...metadata } = object.metadata;
  return encoder.encode(JSON.stringify(inWireOrder({ ...object, metadata })));
}

/** Throws when the bytes are no JSON object. */
export function decodeStored(kind: AnyKind, value: Uint8Array, revision: number): KubernetesObject {
  const object = JSON.parse(decoder.decode(value)) as KubernetesObject;
  if (typeof object !== 'object' || object === null || typeof object.metadata !== 'object') throw new Error('the stored value is no object');
  kind.applyDefaults?.(object);
  object.metadata.resourceVersion = String(revision);
  return object;
}

/** The kind whose objects are in storage: another version's kind may be stored as this one. */
export function storedKind(kind: AnyKind): AnyKind {
  return kind.storedAs?.kind ?? kind;
}

export function keyPrefix(kind: AnyKind, namespace = ''): string {
  const prefix = `/registry/${storedKind(kind).storagePrefix}/`;
  return namespace === '' ? prefix : `${prefix}${namespace}/`;
}

export function keyOf(kind: AnyKind, namespace: string, name: string): string {
  return kind.namespaced ? `${keyPrefix(kind)}${namespace}/${name}` : `${keyPrefix(kind)}${name}`;
}
