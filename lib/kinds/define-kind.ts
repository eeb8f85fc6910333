// What a resource kind is: one declarative definition from which the API server derives storage, discovery, OpenAPI,
// tables and the rules of its lifecycle, and by which every client names it.
import type { FieldError } from '#lib/machinery/field-error.ts';
import type { LabelSelector, ObjectMeta } from './types/meta-v1.ts';

/** Any object of the Kubernetes API. */
export interface KubernetesObject {
  apiVersion?: string | undefined;
  kind?: string | undefined;
  metadata: ObjectMeta;
}

export type Verb = 'create' | 'delete' | 'deletecollection' | 'get' | 'list' | 'patch' | 'update' | 'watch';

export const ALL_VERBS: readonly Verb[] = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

/** One column of the server-side table (`kubectl get`). Priority 0 is always shown, 1 only with `-o wide`. */
export interface Column<T> {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: string;
  readonly description?: string;
  readonly priority?: number;
  /** `nowMs`: milliseconds since the epoch, for ages. */
  readonly value: (object: T, nowMs: number) => string | number | boolean | null;
}

/** A condition of a table row. */
export interface RowCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
}

/** A subresource as discovery lists it. What it does is the API server's business (`services/apiserver`). */
export interface Subresource {
  readonly verbs: readonly Verb[];
  /** Kind of request and response where it is not the parent's. */
  readonly kind?: string;
  readonly group?: string;
  readonly version?: string;
}

/** Where the Scale subresource finds its three values in a workload. */
export interface ScaleRules<T> {
  readonly replicas: (object: T) => number;
  readonly setReplicas: (object: T, replicas: number) => void;
  readonly currentReplicas: (object: T) => number;
  readonly selector: (object: T) => LabelSelector | Record<string, string> | undefined;
}

export interface KindDefinition<T extends KubernetesObject> {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular?: string;
  readonly listKind?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly scope: 'Namespaced' | 'Cluster';
  /** Default: all eight. */
  readonly verbs?: readonly Verb[];
  /** Name of the definition in lib/kinds/openapi/types.json, e.g. `io.k8s.api.core.v1.Pod`. */
  readonly schema: string;
  /** Path below `/registry/` in etcd; default: the plural. Source: pkg/kubeapiserver/default_storage_factory_builder.go. */
  readonly storagePrefix?: string;
  readonly storageVersionHash?: string;
  readonly subresources?: Readonly<Record<string, Subresource>>;

  /** Fills in defaults; changes the object in place. Runs on every decoded request body and on what storage returns. */
  readonly applyDefaults?: (object: T) => void;
  /** Clears what a client may not set and sets what the server owns, after admission and before validation. */
  readonly prepareForCreate?: (object: T) => void;
  readonly prepareForUpdate?: (next: T, previous: T) => void;
  /** Default: everything but `status` and `metadata.managedFields` is taken from `previous`. */
  readonly prepareForStatusUpdate?: (next: T, previous: T) => void;
  /** Checks what is not metadata, on create and on update. See `validateCreate` in validation.ts for the whole order. */
  readonly validate?: (object: T) => FieldError[];
  /** What only a create must satisfy besides. */
  readonly validateCreate?: (object: T) => FieldError[];
  /** What an update must satisfy besides. */
  readonly validateUpdate?: (next: T, previous: T) => FieldError[];
  readonly validateStatusUpdate?: (next: T, previous: T) => FieldError[];
  /** Text for a `Warning` header on every request, reads included. */
  readonly deprecation?: string;
  /** Texts for `Warning` response headers of writes. */
  readonly warnings?: (object: T, previous?: T) => string[];
  /** Returns what is wrong with a name, in upstream's words. Default: DNS-1123 subdomain. */
  readonly validateName?: (name: string) => string[];
  /** Columns of the table; default: Name and Created At as upstream's default converter. */
  readonly columns?: readonly Column<T>[];
  /** Conditions of a table row, such as `Completed` of a pod. */
  readonly rowConditions?: (object: T) => readonly RowCondition[];
  /** Field selectors beyond metadata.name and metadata.namespace. */
  readonly selectableFields?: Readonly<Record<string, (object: T) => string>>;
  /**
   * `spec-change`: generation starts at 1 and grows with every change of anything but metadata and status.
   * `constant`: it is 1 for ever. Default: the kind has none.
   */
  readonly generation?: 'spec-change' | 'constant' | 'none';
  /** Changes of metadata that raise the generation as well. */
  readonly raisesGeneration?: (next: T, previous: T) => boolean;
  /** Seconds of grace for a delete; undefined when the object goes at once. Source: rest.GracefulDeleteStrategy. */
  readonly gracePeriodSeconds?: (object: T, requested: number | undefined) => number | undefined;
  readonly defaultPropagation?: 'Background' | 'Orphan';
  readonly allowCreateOnUpdate?: boolean;
  /** Default true. False: an update without resourceVersion is refused. */
  readonly allowUnconditionalUpdate?: boolean;
  readonly scale?: ScaleRules<T>;
  /** Time after which etcd drops the object by itself; seconds. Events: 3600. */
  readonly timeToLiveSeconds?: number;
  /** Made from a CustomResourceDefinition: its structure is known only while the server runs. */
  readonly isCustom?: boolean;
  /** Another version of a resource that is stored as `kind`: how one becomes the other. */
  readonly storedAs?: StoredAs<T>;
}

export interface StoredAs<T> {
  readonly kind: Kind;
  readonly toStored: (object: T) => KubernetesObject;
  readonly fromStored: (stored: KubernetesObject) => T;
}

/** A kind with every default filled in. `T` is the type of its objects. */
export interface Kind<T extends KubernetesObject = KubernetesObject> extends KindDefinition<T> {
  /** `v1` or `apps/v1`. */
  readonly apiVersion: string;
  readonly singular: string;
  readonly listKind: string;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly Verb[];
  readonly storagePrefix: string;
  readonly subresources: Readonly<Record<string, Subresource>>;
  readonly namespaced: boolean;
}

/** A kind whose object type does not matter to the code at hand; `anyKind` makes one. */
export type AnyKind = Kind;

export function defineKind<T extends KubernetesObject>(definition: KindDefinition<T>): Kind<T> {
  return Object.freeze({
    ...definition,
    apiVersion: definition.group === '' ? definition.version : `${definition.group}/${definition.version}`,
    singular: definition.singular ?? definition.kind.toLowerCase(),
    listKind: definition.listKind ?? `${definition.kind}List`,
    shortNames: definition.shortNames ?? [],
    categories: definition.categories ?? [],
    verbs: definition.verbs ?? ALL_VERBS,
    storagePrefix: definition.storagePrefix ?? definition.plural,
    subresources: definition.subresources ?? {},
    namespaced: definition.scope === 'Namespaced',
  });
}

/** Forgets the object type, for registries that hold kinds of all types. */
export function anyKind<T extends KubernetesObject>(kind: Kind<T>): AnyKind {
  return kind as unknown as AnyKind;
}
