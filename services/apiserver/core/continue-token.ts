// The `continue` token of a paged list. Source: apiserver pkg/storage/continue.go.
import { badRequest } from '#lib/machinery/status-error.ts';

export interface ContinueToken {
  /** Revision of the first page; -1: whatever is newest. */
  readonly revision: number;
  /** Key to go on from, below the prefix. */
  readonly startKey: string;
}

const toBase64 = (text: string): string => btoa(String.fromCharCode(...new TextEncoder().encode(text))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');

export function encodeContinue({ revision, startKey }: ContinueToken, prefix: string): string {
  return toBase64(JSON.stringify({ v: 'meta.k8s.io/v1', rv: revision, start: startKey.slice(prefix.length) }));
}

/** Throws BadRequest. */
export function decodeContinue(token: string, prefix: string): ContinueToken {
  let decoded: unknown;
  try {
    const bytes = Uint8Array.from(atob(token.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
    decoded = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw badRequest('continue key is not valid: illegal base64 data');
  }
  const { v, rv, start } = (decoded ?? {}) as { v?: unknown; rv?: unknown; start?: unknown };
  if (v !== 'meta.k8s.io/v1') throw badRequest('continue key is not valid: server does not recognize this encoded version "v"');
  if (typeof rv !== 'number' || rv === 0 || !Number.isSafeInteger(rv)) throw badRequest('continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)');
  if (typeof start !== 'string' || start === '') throw badRequest('continue key is not valid: encoded start key empty (version meta.k8s.io/v1)');
  if (start.split('/').includes('..')) throw badRequest(`continue key is not valid: ${start}`);
  return { revision: rv, startKey: prefix + start };
}
