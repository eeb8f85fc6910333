// What Go's JSON decoder says of text that JavaScript's refuses. Source: Go, encoding/json/scanner.go.

/** Beginnings of V8's messages, which give the position, and where Go's scanner says to be there. */
const PLACES: readonly (readonly [RegExp, string])[] = [
  [/^Expected ':' after property name/, 'after object key'],
  [/^Expected ',' or '\}' after property value/, 'after object key:value pair'],
  [/^Expected ',' or '\]' after array element/, 'after array element'],
  [/^Expected (?:property name or '\}'|double-quoted property name)/, 'looking for beginning of object key string'],
  [/^Unexpected non-whitespace character after JSON/, 'after top-level value'],
  [/^Bad control character in string literal/, 'in string literal'],
  [/^Bad escaped character/, 'in string escape code'],
  [/^Bad Unicode escape/, 'in \\u hexadecimal character escape'],
  [/^No number after minus sign/, 'in numeric literal'],
  [/^Unterminated fractional number/, 'after decimal point in numeric literal'],
  [/^Exponent part is missing a number/, 'in exponent of numeric literal'],
];

/** `error`: what JSON.parse has thrown for `text`. */
export function goJsonError(text: string, error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  const position = /at position (\d+)/.exec(message)?.[1];
  const place = PLACES.find(([words]) => words.test(message))?.[1];
  if (place !== undefined && position !== undefined) {
    const character = text[Number(position)] ?? (place.endsWith('numeric literal') ? ' ' : undefined); // Go looks at one more
    return character === undefined ? 'unexpected end of JSON input' : `invalid character ${quoted(character)} ${place}`;
  }
  const [, token = /is not valid JSON/.test(message) ? text.trimStart()[0] : undefined] = /^Unexpected token '?(.)'?/u.exec(message) ?? [];
  return token === undefined ? 'unexpected end of JSON input' : `invalid character ${quoted(token)} looking for beginning of value`;
}

const ESCAPES: Readonly<Record<string, string>> = { '\'': '\\\'', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };
const quoted = (character: string): string => `'${ESCAPES[character] ?? character}'`;
