// The Corefile's syntax: server blocks with plugins, their arguments and nested blocks.
// Source: CoreDNS manual, Configuration (Caddyfile grammar without imports and snippets).

export interface Directive {
  readonly name: string;
  readonly args: readonly string[];
  readonly block: readonly Directive[];
  readonly line: number;
}
export interface ServerBlock {
  readonly keys: readonly string[];
  readonly directives: readonly Directive[];
}

export class CorefileError extends Error {
  override readonly name = 'CorefileError';
}

interface Token {
  readonly text: string;
  readonly line: number;
}

/** `{$NAME}` and `{%NAME%}` are replaced from `variables`. Throws CorefileError with the line. */
export function parseCorefile(text: string, variables: Readonly<Record<string, string | undefined>> = {}): ServerBlock[] {
  const tokens = tokensOf(text.replace(/\{[$%]([A-Za-z_][A-Za-z0-9_]*)%?\}/g, (_, name: string) => variables[name] ?? ''));
  const blocks: ServerBlock[] = [];
  let at = 0;
  const directivesUntilBrace = (openedAt: number): Directive[] => {
    const directives: Directive[] = [];
    for (;;) {
      const token = tokens[at];
      if (!token) throw new CorefileError(`Corefile:${openedAt} - Error during parsing: Unexpected EOF, expecting '}'`);
      at += 1;
      if (token.text === '}') return directives;
      if (token.text === '{') throw new CorefileError(`Corefile:${token.line} - Error during parsing: Unexpected '{'`);
      const args: string[] = [];
      let block: Directive[] = [];
      for (let next = tokens[at]; next && next.line === token.line && next.text !== '}'; next = tokens[at]) {
        at += 1;
        if (next.text === '{') {
          block = directivesUntilBrace(next.line);
          break;
        }
        args.push(next.text);
      }
      directives.push({ name: token.text, args, block, line: token.line });
    }
  };
  while (at < tokens.length) {
    const keys: string[] = [];
    const startLine = tokens[at]?.line ?? 0;
    while (at < tokens.length && tokens[at]?.text !== '{') keys.push(...(tokens[at++]?.text ?? '').split(',').filter((key) => key !== ''));
    if (keys.length === 0) throw new CorefileError(`Corefile:${startLine} - Error during parsing: a server block needs an address`);
    if (at >= tokens.length) throw new CorefileError(`Corefile:${startLine} - Error during parsing: expecting '{' after ${keys.join(' ')}`);
    at += 1;
    blocks.push({ keys, directives: directivesUntilBrace(startLine) });
  }
  return blocks;
}

/** Words, quoted or not; `#` begins a comment where a word could begin. */
function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  text.split('\n').forEach((content, index) => {
    for (const [, quoted, word, comment] of content.matchAll(/"((?:[^"\\]|\\.)*)"|([^\s"#][^\s]*)|(#.*$)/g)) {
      if (comment !== undefined) break;
      tokens.push({ text: quoted?.replaceAll('\\"', '"') ?? word ?? '', line: index + 1 });
    }
  });
  return tokens;
}
