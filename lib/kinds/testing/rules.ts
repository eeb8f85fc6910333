// For tests of kinds: what the rules of a kind say about an object, as text.
import { fieldErrorText } from '#lib/machinery/field-error.ts';
import type { Kind, KubernetesObject } from '../define-kind.ts';
import { validateCreate, validateUpdate } from '../validation.ts';

/** A kind's rules without its object type, for bodies that are wrong on purpose. */
export interface Rules {
  readonly created: (body: object) => string[];
  readonly updated: (next: object, previous: object) => string[];
  /** As stored after a create. */
  readonly stored: (body: object) => KubernetesObject;
}

export function rulesOf<T extends KubernetesObject>(kind: Kind<T>): Rules {
  const complete = (body: object): T => {
    const object = structuredClone({ metadata: { name: 'web' }, ...body }) as T;
    object.metadata = { ...object.metadata, uid: 'u', resourceVersion: '1', ...(kind.namespaced ? { namespace: 'default' } : {}) };
    kind.applyDefaults?.(object);
    return object;
  };
  const stored = (body: object): T => {
    const object = complete(body);
    kind.prepareForCreate?.(object);
    return object;
  };
  return {
    stored,
    created: (body) => validateCreate(kind, stored(body)).map(fieldErrorText),
    updated: (next, previous) => {
      const [own, old] = [complete(next), stored(previous)];
      kind.prepareForUpdate?.(own, old);
      return validateUpdate(kind, own, old).map(fieldErrorText);
    },
  };
}
