// How deeply a JSON text nests: everything that walks a value recurses, so the text is measured before it is parsed.

/** Levels of lists and maps in one body. No kind comes near it; Go's decoder stops at 10,000, where our stack would have ended. */
export const MAX_DEPTH = 1_000;

/** In the words of Go's decoder. */
export const TOO_DEEP = 'exceeded max depth';

export function isDeeperThan(text: string, limit: number): boolean {
  if (text.length <= limit) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case 0x5b: case 0x7b: // [ {
        depth += 1;
        if (depth > limit) return true;
        break;
      case 0x5d: case 0x7d: // ] }
        depth -= 1;
        break;
      case 0x22: // a string: up to its closing quote
        for (at += 1; at < text.length && text.charCodeAt(at) !== 0x22; at += 1) if (text.charCodeAt(at) === 0x5c) at += 1;
        break;
      default:
    }
  }
  return false;
}
