// Short hashes that become part of names: pod-template-hash, controller-revision-hash.
// Upstream hashes a dump of Go structs, which no one can reproduce from JSON; ours hashes JSON with sorted keys, by the
// same function (FNV-1a, 32 bits) and in the same alphabet.
import type { PodTemplateSpec } from '#lib/kinds/types/core-v1.ts';

const UTF8 = new TextEncoder();
/** No vowels (no words), no 0, 1, 3 (no look-alikes). Source: apimachinery pkg/util/rand. */
export const SAFE_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** FNV-1a, 32 bits. */
export function fnv1a32(...parts: readonly (string | Uint8Array)[]): number {
  let hash = 0x811c9dc5;
  for (const part of parts) {
    for (const byte of typeof part === 'string' ? UTF8.encode(part) : part) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return hash >>> 0;
}

/** Maps each character into the safe alphabet. */
export function safeEncode(text: string): string {
  let encoded = '';
  for (const byte of UTF8.encode(text)) encoded += SAFE_ALPHABET[byte % SAFE_ALPHABET.length] ?? '';
  return encoded;
}

/** JSON with keys sorted and absent values left out: equal objects give equal texts. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, item]) => item !== undefined && item !== null);
  entries.sort(([left], [right]) => (left < right ? -1 : left > right ? 1 : 0));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
}

function littleEndian(count: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, count, true);
  return bytes;
}

/** Hash of a pod template; `collisionCount` is set after another template was found under the same name. */
export function podTemplateHash(template: PodTemplateSpec, collisionCount?: number): string {
  const parts: (string | Uint8Array)[] = [canonicalJson(template)];
  if (collisionCount !== undefined) parts.push(littleEndian(collisionCount));
  return safeEncode(String(fnv1a32(...parts)));
}

/** Hash of a ControllerRevision's data. */
export function revisionHash(data: unknown, collisionCount?: number): string {
  const parts: (string | Uint8Array)[] = [canonicalJson(data)];
  if (collisionCount !== undefined) parts.push(String(collisionCount));
  return safeEncode(String(fnv1a32(...parts)));
}
