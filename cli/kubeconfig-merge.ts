// One context in a person's kubeconfig beside what else is in it: comments, other clusters and order stay.
import { isMap, isSeq, parseDocument, type Document, type YAMLMap } from 'yaml';
import { UserError } from './user-error.ts';

/** Cluster, user and context are all called so. */
export const CONTEXT_NAME = 'kubreak';

export interface ContextParts {
  readonly cluster: unknown;
  readonly user: unknown;
}

const LISTS = ['clusters', 'contexts', 'users'] as const;

/** Throws UserError when the text is no kubeconfig. `path` is for the message. */
function parse(text: string, path: string): Document {
  const document = parseDocument(text);
  const [problem] = document.errors;
  if (problem) throw new UserError(`${path} is not valid YAML: ${problem.message.split('\n')[0] ?? ''}`);
  if (document.contents === null) document.contents = document.createNode({ apiVersion: 'v1', kind: 'Config' }) as never;
  if (!isMap(document.contents)) throw new UserError(`${path} is not a kubeconfig`);
  return document;
}

function indexIn(document: Document, list: string): number {
  const items = document.get(list);
  return isSeq(items) ? items.items.findIndex((item) => isMap(item) && (item as YAMLMap).get('name') === CONTEXT_NAME) : -1;
}

export function hasContext(text: string, path: string): boolean {
  return indexIn(parse(text, path), 'contexts') >= 0;
}

export function currentContextOf(text: string, path: string): string {
  const current = parse(text, path).get('current-context');
  return typeof current === 'string' ? current : '';
}

/** With the context put in, or replaced where it is. */
export function withContext(text: string, path: string, { cluster, user }: ContextParts): string {
  const document = parse(text, path);
  const entries = { clusters: { cluster, name: CONTEXT_NAME }, contexts: { context: { cluster: CONTEXT_NAME, user: CONTEXT_NAME }, name: CONTEXT_NAME }, users: { name: CONTEXT_NAME, user } };
  for (const list of LISTS) {
    const entry = document.createNode(entries[list]);
    const at = indexIn(document, list);
    if (!isSeq(document.get(list))) document.set(list, document.createNode([entries[list]]));
    else if (at >= 0) document.setIn([list, at], entry);
    else document.addIn([list], entry);
  }
  return document.toString({ lineWidth: 0 });
}

export function withoutContext(text: string, path: string): string {
  const document = parse(text, path);
  for (const list of LISTS) {
    const at = indexIn(document, list);
    if (at >= 0) document.deleteIn([list, at]);
  }
  return document.toString({ lineWidth: 0 });
}

export function withCurrentContext(text: string, path: string, name: string): string {
  const document = parse(text, path);
  document.set('current-context', name);
  return document.toString({ lineWidth: 0 });
}
