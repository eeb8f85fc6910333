// Which form of an answer a client accepts. Source: apiserver pkg/endpoints/handlers/negotiation/negotiate.go.
import { failure } from '#lib/machinery/status-error.ts';

export type Transform =
  | { readonly as: 'object' }
  | { readonly as: 'table' | 'partial' | 'partial-list'; readonly apiVersion: string };

export interface Accepted {
  readonly format: 'json' | 'yaml';
  readonly transform: Transform;
}

export interface MediaRange {
  readonly type: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const parsed = new Map<string, readonly MediaRange[]>();
/** Few different Accept headers exist; the map is emptied when somebody invents them. */
const PARSED_LIMIT = 500;

/** In order of preference. */
export function parseAccept(header: string): readonly MediaRange[] {
  let ranges = parsed.get(header);
  if (!ranges) {
    ranges = header.split(',').map((part) => {
      const [type = '', ...rest] = part.split(';').map((one) => one.trim());
      const parameters = Object.fromEntries(rest.map((one) => {
        const at = one.indexOf('=');
        return at < 0 ? [one, ''] : [one.slice(0, at), one.slice(at + 1).replace(/^"|"$/g, '')];
      }));
      return { type: type.toLowerCase(), parameters };
    }).filter(({ type }) => type !== '').map((range, index) => ({ range, index, quality: Number(range.parameters['q'] ?? 1) }))
      .sort((a, b) => b.quality - a.quality || a.index - b.index).map(({ range }) => range);
    if (parsed.size >= PARSED_LIMIT) parsed.clear();
    parsed.set(header, ranges);
  }
  return ranges;
}

const FORMATS: Readonly<Record<string, Accepted['format']>> = {
  'application/json': 'json', 'application/yaml': 'yaml', '*/*': 'json', 'application/*': 'json',
};

function transformOf({ parameters }: MediaRange): Transform | undefined {
  const { as, g, v } = parameters;
  if (as === undefined) return { as: 'object' };
  if (g !== 'meta.k8s.io' || (v !== 'v1' && v !== 'v1beta1')) return undefined;
  const apiVersion = `${g}/${v}`;
  switch (as) {
    case 'Table': return { as: 'table', apiVersion };
    case 'PartialObjectMetadata': return { as: 'partial', apiVersion };
    case 'PartialObjectMetadataList': return { as: 'partial-list', apiVersion };
    default: return undefined;
  }
}

/** Throws NotAcceptable. */
export function negotiate(header: string | undefined): Accepted {
  if (header === undefined || header === '') return { format: 'json', transform: { as: 'object' } };
  for (const range of parseAccept(header)) {
    const format = FORMATS[range.type];
    const transform = transformOf(range);
    if (format !== undefined && transform !== undefined) return { format, transform };
  }
  throw failure(406, 'NotAcceptable', 'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf');
}
