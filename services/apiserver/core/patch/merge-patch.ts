// JSON merge patch. Source: RFC 7386.
import { isRecord, ownField, setOwn } from './json-value.ts';

/** Returns the patched value; neither argument is changed. */
export function applyMergePatch(target: unknown, patch: unknown): unknown {
  if (!isRecord(patch)) return patch;
  const result: Record<string, unknown> = isRecord(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else setOwn(result, key, applyMergePatch(ownField(result, key), value));
  }
  return result;
}
