// The kinds that the server serves, in an order that puts a stored kind before its other versions.
import type { AnyKind } from '#lib/kinds/define-kind.ts';

export function servedKinds(kinds: readonly AnyKind[]): readonly AnyKind[] {
  return [...kinds].sort((a, b) => Number(a.storedAs !== undefined) - Number(b.storedAs !== undefined));
}
