// Finds keys that occur twice in one JSON object, which JSON.parse would silently merge.

/** `duplicate field "spec.replicas"` for each. The text must be valid JSON. */
export function duplicateFields(text: string): string[] {
  const found: string[] = [];
  let at = 0;
  const skipSpace = (): void => {
    while (at < text.length && ' \t\r\n'.includes(text[at] ?? '')) at += 1;
  };
  const readString = (): string => {
    const start = at;
    at += 1;
    while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
    at += 1;
    const raw = text.slice(start, at);
    return raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
  };
  const readObject = (path: string): void => {
    const seen = new Set<string>();
    at += 1;
    for (skipSpace(); text[at] !== '}'; skipSpace()) {
      const key = readString();
      const keyPath = path === '' ? key : `${path}.${key}`;
      if (seen.has(key)) found.push(`duplicate field "${keyPath}"`);
      seen.add(key);
      skipSpace();
      at += 1; // :
      readValue(keyPath);
      skipSpace();
      if (text[at] === ',') at += 1;
    }
    at += 1;
  };
  const readArray = (path: string): void => {
    at += 1;
    skipSpace();
    for (let index = 0; text[at] !== ']'; index += 1) {
      readValue(`${path}[${index}]`);
      skipSpace();
      if (text[at] === ',') at += 1;
      skipSpace();
    }
    at += 1;
  };
  const readValue = (path: string): void => {
    skipSpace();
    const first = text[at];
    if (first === '{') readObject(path);
    else if (first === '[') readArray(path);
    else if (first === '"') readString();
    else while (at < text.length && !',]} \t\r\n'.includes(text[at] ?? '')) at += 1;
  };
  readValue('');
  return [...new Set(found)];
}
