// `${name}` in the texts of a step; `$${name}` stands for itself, for a shell.

const USE = /\$(\$?)\{([^}]*)\}/g;

export function variablesIn(text: string): string[] {
  return [...text.matchAll(USE)].filter(([, escape]) => escape === '').map(([, , name]) => name ?? '');
}

/** Every text in the value, however deep. Throws RangeError for a variable that has no value. */
export function substitute<T>(value: T, values: ReadonlyMap<string, string>): T {
  const inText = (text: string): string => text.replace(USE, (all, escape: string, name: string) => {
    if (escape !== '') return all.slice(1);
    const found = values.get(name);
    if (found === undefined) throw new RangeError(`\${${name}} has no value`);
    return found;
  });
  const inAny = (any: unknown): unknown => {
    if (typeof any === 'string') return inText(any);
    if (Array.isArray(any)) return any.map(inAny);
    if (typeof any === 'object' && any !== null) return Object.fromEntries(Object.entries(any).map(([key, inner]) => [key, inAny(inner)]));
    return any;
  };
  return inAny(value) as T;
}
