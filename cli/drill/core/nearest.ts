// What somebody meant who wrote a name that does not exist.

const MAX_EDITS = 2;

/** The candidate that differs by a letter or two; undefined: none does. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const best = candidates.map((candidate) => ({ candidate, edits: editsBetween(word, candidate) })).sort((a, b) => a.edits - b.edits)[0];
  return best !== undefined && best.edits <= Math.min(MAX_EDITS, Math.floor(best.candidate.length / 2)) ? best.candidate : undefined;
}

/** Levenshtein's distance. */
function editsBetween(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= right.length; j += 1) {
      next[j] = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
