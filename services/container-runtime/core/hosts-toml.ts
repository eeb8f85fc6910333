// hosts.toml, by which containerd knows the registries and mirrors of a host name: the part of TOML that such files use.
// Source: containerd, docs/hosts.md.

export interface RegistryHost {
  /** https://mirror:5000, without a slash at the end. */
  readonly url: string;
  readonly canPull: boolean;
  /** Files of further authorities. */
  readonly ca: readonly string[];
  readonly skipVerify: boolean;
  /** Certificate and key files, in pairs. */
  readonly client: readonly { readonly certificate: string; readonly key: string }[];
  /** Whether the URL is the whole path: no /v2 is put after it. */
  readonly overridePath: boolean;
  readonly headers: Readonly<Record<string, string>>;
}

export class TomlError extends Error {
  override readonly name = 'TomlError';
}

type Value = string | boolean | number | Value[];
type Table = Map<string, Value>;

/** Mirrors in the order of the file, the server itself last. */
export function parseHostsToml(text: string, defaultServer: string): RegistryHost[] {
  const tables = parseTables(text);
  const root = tables.get('') ?? new Map<string, Value>();
  const hosts = [...tables].flatMap(([name, table]) => {
    const [kind = '', url = '', part] = JSON.parse(name === '' ? '[]' : name) as string[];
    return kind === 'host' && url !== '' && part === undefined ? [hostOf(url, table, tables.get(JSON.stringify(['host', url, 'header'])))] : [];
  });
  const server = root.get('server');
  return [...hosts, hostOf(typeof server === 'string' && server !== '' ? server : defaultServer, root, tables.get(JSON.stringify(['header'])))];
}

function hostOf(url: string, table: Table, header: Table | undefined): RegistryHost {
  const capabilities = table.get('capabilities');
  const files = (value: Value | undefined): string[] => (typeof value === 'string' ? [value] : Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []);
  const client = table.get('client');
  const pairs = Array.isArray(client) && client.some(Array.isArray) ? client : client === undefined ? [] : [client];
  return {
    url: (/^https?:\/\//.test(url) ? url : `https://${url}`).replace(/\/+$/, ''),
    canPull: !Array.isArray(capabilities) || capabilities.includes('pull'),
    ca: files(table.get('ca')), skipVerify: table.get('skip_verify') === true, overridePath: table.get('override_path') === true,
    client: pairs.map((pair) => ({ certificate: files(pair)[0] ?? '', key: files(pair)[1] ?? files(pair)[0] ?? '' })),
    headers: Object.fromEntries([...(header ?? [])].map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : String(value)])),
  };
}

/** By path, as JSON: `["host","https://mirror"]`; empty for what stands before all tables. Throws TomlError. */
function parseTables(text: string): Map<string, Table> {
  const tables = new Map<string, Table>();
  let current: Table = new Map();
  tables.set('', current);
  const lines = text.split(/\r?\n/);
  for (let at = 0; at < lines.length; at += 1) {
    let line = withoutComment(lines[at] ?? '').trim();
    if (line === '') continue;
    const where = `line ${at + 1}`;
    const head = /^\[\s*([^[].*?)\s*\]$/.exec(line);
    if (head) {
      const path = JSON.stringify(keyParts(head[1] ?? '', where));
      current = tables.get(path) ?? new Map<string, Value>();
      tables.set(path, current);
      continue;
    }
    // An array may go on over several lines.
    while (count(line, '[') > count(line, ']') && at + 1 < lines.length) line += ` ${withoutComment(lines[(at += 1)] ?? '').trim()}`;
    const pair = /^("[^"]*"|[A-Za-z0-9_-]+)\s*=\s*(.+)$/.exec(line);
    if (!pair) throw new TomlError(`${where} is not understood: ${line}`);
    current.set((pair[1] ?? '').replace(/^"|"$/g, ''), parseValue(pair[2] ?? '', where));
  }
  return tables;
}

const outsideStrings = (line: string): string => line.replace(/"(?:\\.|[^"\\])*"|'[^']*'/g, (quoted) => '_'.repeat(quoted.length));
const count = (line: string, bracket: string): number => outsideStrings(line).split(bracket).length - 1;

function withoutComment(line: string): string {
  const at = outsideStrings(line).indexOf('#');
  return at < 0 ? line : line.slice(0, at);
}

function keyParts(text: string, where: string): string[] {
  const parts = [...text.matchAll(/\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+))\s*(\.|$)/g)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
  if (parts.length === 0) throw new TomlError(`${where}: the table has no name`);
  return parts;
}

function parseValue(text: string, where: string): Value {
  const value = text.trim();
  if (value === 'true' || value === 'false') return value === 'true';
  if (/^[+-]?\d+$/.test(value)) return Number(value);
  if (/^'[^']*'$/.test(value)) return value.slice(1, -1);
  if (/^"(?:\\.|[^"\\])*"$/.test(value)) return JSON.parse(value) as string;
  if (value.startsWith('[') && value.endsWith(']')) return items(value.slice(1, -1)).map((item) => parseValue(item, where));
  throw new TomlError(`${where}: the value ${value} is not understood`);
}

function items(text: string): string[] {
  const plain = outsideStrings(text);
  const found: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= plain.length; at += 1) {
    const character = plain[at];
    if (character === '[') depth += 1;
    if (character === ']') depth -= 1;
    if (at === plain.length || (character === ',' && depth === 0)) {
      const item = text.slice(start, at).trim();
      if (item !== '') found.push(item);
      start = at + 1;
    }
  }
  return found;
}
