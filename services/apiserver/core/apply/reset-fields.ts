// Fields that an endpoint does not let anybody change, and that therefore nobody can own by writing to it.
// Source: GetResetFields of the strategies in pkg/registry.
import type { AnyKind } from '#lib/kinds/define-kind.ts';
import { EMPTY_SET, setOf, type FieldSet } from './field-set.ts';

const STATUS = setOf(['f:status']);
const SPEC = setOf(['f:spec']);
const SPEC_AND_METADATA = setOf(['f:spec'], ['f:metadata']);

/** On /status, where it is not the spec alone. */
const ON_STATUS: Readonly<Record<string, FieldSet>> = {
  '/Pod': setOf(['f:spec'], ['f:metadata', 'f:deletionTimestamp'], ['f:metadata', 'f:ownerReferences']),
  'apps/Deployment': setOf(['f:spec'], ['f:metadata', 'f:labels']),
};

export function resetFieldsOf(kind: Pick<AnyKind, 'group' | 'kind' | 'subresources' | 'prepareForStatusUpdate'>, subresource: string): FieldSet {
  if (subresource === 'status') return ON_STATUS[`${kind.group}/${kind.kind}`] ?? (kind.prepareForStatusUpdate ? SPEC : SPEC_AND_METADATA);
  return kind.subresources['status'] ? STATUS : EMPTY_SET;
}
