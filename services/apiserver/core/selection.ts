// Which objects a list or watch wants: namespace, label selector, field selector.
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { everything, parseFieldSelector, parseLabelSelector, SelectorError, type FieldSelector, type Selector } from '#lib/machinery/selectors.ts';
import { badRequest } from '#lib/machinery/status-error.ts';
import { keyOf, keyPrefix } from './codec.ts';
import type { CacheEntry } from './watch-cache.ts';

export interface Selection {
  readonly kind: AnyKind;
  /** All keys selected start with it; a whole key when one name is asked for. */
  readonly prefix: string;
  /** Whether anything but the prefix selects. */
  readonly isFiltered: boolean;
  readonly matches: (entry: CacheEntry) => boolean;
}

function fieldValue(kind: AnyKind, object: KubernetesObject, field: string): string {
  if (field === 'metadata.name') return object.metadata.name;
  if (field === 'metadata.namespace') return object.metadata.namespace ?? '';
  return kind.selectableFields?.[field]?.(object) ?? '';
}

function checkFields(kind: AnyKind, fields: FieldSelector): void {
  for (const { field } of fields.terms) {
    if (field === 'metadata.name' || (field === 'metadata.namespace' && kind.namespaced) || kind.selectableFields?.[field]) continue;
    throw badRequest(kind.selectableFields
      ? `field label not supported: ${field}`
      : `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`);
  }
}

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    throw badRequest(error.message);
  }
}

export interface SelectionQuery {
  readonly namespace: string;
  /** Empty: all names. */
  readonly name: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
}

/** Throws BadRequest for a selector that makes no sense for the kind. */
export function selectionOf(kind: AnyKind, query: SelectionQuery): Selection {
  const labels: Selector = query.labelSelector === '' ? everything : parse(() => parseLabelSelector(query.labelSelector));
  const fields = parse(() => parseFieldSelector(query.fieldSelector));
  checkFields(kind, fields);
  const exact = fields.exactValue('metadata.name');
  const name = query.name !== '' ? query.name : exact ?? '';
  if (query.name !== '' && exact !== undefined && exact !== query.name) throw badRequest("fieldSelector metadata.name doesn't match requested name");
  const namespace = query.namespace !== '' ? query.namespace : kind.namespaced ? fields.exactValue('metadata.namespace') ?? '' : '';
  const isOneKey = name !== '' && (!kind.namespaced || namespace !== '');
  const prefix = isOneKey ? keyOf(kind, namespace, name) : keyPrefix(kind, kind.namespaced ? namespace : '');
  const isFiltered = !labels.isEmpty || !fields.isEmpty || name !== '';
  return {
    kind, prefix, isFiltered,
    matches: (entry) => {
      if (isOneKey ? entry.key !== prefix : !entry.key.startsWith(prefix)) return false;
      if (!isFiltered) return true;
      const { object } = entry.as(kind);
      return (name === '' || object.metadata.name === name) && labels.matches(object.metadata.labels)
        && fields.matches((field) => fieldValue(kind, object, field));
    },
  };
}
