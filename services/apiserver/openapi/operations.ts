// The paths and operations of the kinds that are served, before they are written in one dialect or the other.
// Source: apiserver pkg/endpoints/installer.go.
import type { AnyKind, Subresource } from '#lib/kinds/define-kind.ts';
import { definitionOfKind, DELETE_OPTIONS, PATCH, RESOURCE_LIST, STATUS, type GroupVersionKind } from './json-schema.ts';

export type Method = 'get' | 'put' | 'post' | 'delete' | 'patch';

export interface Operation {
  readonly method: Method;
  /** `x-kubernetes-action`; undefined for what is no resource. */
  readonly action: string | undefined;
  readonly description: string;
  /** What `{name}` in the path names. */
  readonly subject: string | undefined;
  readonly id: string;
  readonly tag: string;
  readonly gvk: GroupVersionKind | undefined;
  readonly query: readonly QueryParameter[];
  /** Definition of the request body. */
  readonly body?: string;
  readonly consumes?: readonly string[];
  readonly bodyRequired: boolean;
  /** Definition of the answer; undefined: text. */
  readonly response?: string;
  readonly codes: readonly number[];
}

export interface PathItem {
  readonly path: string;
  readonly pathParameters: readonly string[];
  readonly operations: readonly Operation[];
}

export interface QueryParameter {
  readonly name: string;
  readonly type: 'string' | 'boolean' | 'integer';
}

const text = (name: string): QueryParameter => ({ name, type: 'string' });
const flag = (name: string): QueryParameter => ({ name, type: 'boolean' });
const number = (name: string): QueryParameter => ({ name, type: 'integer' });

const LIST = [
  flag('allowWatchBookmarks'), text('continue'), text('fieldSelector'), text('labelSelector'), number('limit'), text('resourceVersion'),
  text('resourceVersionMatch'), flag('sendInitialEvents'), number('timeoutSeconds'), flag('watch'),
];
const WRITE = [text('dryRun'), text('fieldManager'), text('fieldValidation')];
const APPLY = [...WRITE, flag('force')];
const DELETE = [text('dryRun'), number('gracePeriodSeconds'), flag('ignoreStoreReadErrorWithClusterBreakingPotential'), flag('orphanDependents'), text('propagationPolicy')];
const DELETE_COLLECTION = [
  ...DELETE, text('continue'), text('fieldSelector'), text('labelSelector'), number('limit'), text('resourceVersion'), text('resourceVersionMatch'),
  flag('sendInitialEvents'), number('timeoutSeconds'),
];
const CONNECT: Readonly<Record<string, readonly QueryParameter[]>> = {
  log: [
    text('container'), flag('follow'), flag('insecureSkipTLSVerifyBackend'), number('limitBytes'), flag('previous'), number('sinceSeconds'), text('stream'),
    number('tailLines'), flag('timestamps'),
  ],
  exec: [text('command'), text('container'), flag('stderr'), flag('stdin'), flag('stdout'), flag('tty')],
  attach: [text('container'), flag('stderr'), flag('stdin'), flag('stdout'), flag('tty')],
  portforward: [number('ports')],
  proxy: [text('path')],
};
const PATCH_TYPES = ['application/json-patch+json', 'application/merge-patch+json', 'application/strategic-merge-patch+json', 'application/apply-patch+yaml'];

const capitalized = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** `CoreV1`, `AppsV1`, `RbacAuthorizationV1`: how operation ids name a group and version. */
function idPrefix({ group, version }: AnyKind): string {
  const name = group === '' ? 'core' : group.replace(/\.k8s\.io$/, '');
  return name.split('.').map(capitalized).join('') + capitalized(version);
}

const tagOf = ({ group, version }: AnyKind): string => `${group === '' ? 'core' : group.replace(/\.k8s\.io$/, '').replace(/\.(.)/g, (_, letter: string) => letter.toUpperCase())}_${version}`;

export function pathsOf(kind: AnyKind): PathItem[] {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  const collection = kind.namespaced ? `${root}/namespaces/{namespace}/${kind.plural}` : `${root}/${kind.plural}`;
  const inNamespace = kind.namespaced ? ['namespace'] : [];
  const item = `${collection}/{name}`;
  return [
    ...(kind.namespaced && kind.verbs.includes('list') ? [{ path: `${root}/${kind.plural}`, pathParameters: [], operations: listEverywhere(kind) }] : []),
    { path: collection, pathParameters: inNamespace, operations: ofCollection(kind) },
    { path: item, pathParameters: ['name', ...inNamespace], operations: ofItem(kind) },
    ...Object.entries(kind.subresources).map(([name, subresource]) => ({
      path: `${item}/${name}`, pathParameters: ['name', ...inNamespace], operations: ofSubresource(kind, name, subresource),
    })),
  ].filter(({ operations }) => operations.length > 0);
}

/** In installer.go's words. `of`: a subresource, and for connections the method. */
function describe(action: string, subject: string, of?: { readonly subresource: string; readonly method: string }): string {
  const what = of ? `${of.subresource} of the specified ${subject}` : `the specified ${subject}`;
  switch (action) {
    case 'get': return `read ${what}`;
    case 'list': return `list or watch objects of kind ${subject}`;
    case 'put': return `replace ${what}`;
    case 'patch': return `partially update ${what}`;
    case 'post': return of ? `create ${of.subresource} of a ${subject}` : `create ${/^[AEIOU]/.test(subject) ? 'an' : 'a'} ${subject}`;
    case 'delete': return of ? `delete ${what}` : `delete ${/^[AEIOU]/.test(subject) ? 'an' : 'a'} ${subject}`;
    case 'deletecollection': return `delete collection of ${subject}`;
    default: return `connect ${(of?.method ?? '').toUpperCase()} requests to ${of?.subresource ?? ''} of ${subject}`;
  }
}

/** Lists of what each group and version serves. */
export function discoveryPaths(kinds: readonly AnyKind[]): PathItem[] {
  const byVersion = new Map(kinds.map((kind) => [kind.apiVersion, kind]));
  return [...byVersion.values()].map((kind) => ({
    path: kind.group === '' ? `/api/${kind.version}/` : `/apis/${kind.group}/${kind.version}/`, pathParameters: [],
    operations: [{
      method: 'get', action: undefined, description: 'get available resources', subject: undefined, id: `get${idPrefix(kind)}APIResources`, tag: tagOf(kind), gvk: undefined,
      query: [], bodyRequired: false, response: RESOURCE_LIST, codes: [200],
    }],
  }));
}

function builder(kind: AnyKind) {
  const scope = kind.namespaced ? 'Namespaced' : '';
  const gvk = { group: kind.group, kind: kind.kind, version: kind.version };
  const list = kind.isCustom ? `${kind.schema}List` : definitionOfKind(`${kind.apiVersion}/${kind.listKind}`);
  const base = (method: Method, action: string, id: string, query: readonly QueryParameter[]) =>
    ({ method, action, description: describe(action, kind.kind), subject: kind.kind, id, tag: tagOf(kind), gvk, query, bodyRequired: false, codes: [200] });
  return { scope, gvk, list, base, prefix: idPrefix(kind), patchTypes: kind.schema.startsWith('io.k8s.') && !kind.isCustom ? PATCH_TYPES : PATCH_TYPES.filter((type) => !type.includes('strategic')) };
}

function listEverywhere(kind: AnyKind): Operation[] {
  const { base, prefix, list } = builder(kind);
  return [{ ...base('get', 'list', `list${prefix}${kind.kind}ForAllNamespaces`, LIST), ...(list === undefined ? {} : { response: list }) }];
}

function ofCollection(kind: AnyKind): Operation[] {
  const { base, prefix, scope, list } = builder(kind);
  const has = (verb: (typeof kind.verbs)[number]) => kind.verbs.includes(verb);
  const name = `${prefix}${scope}${kind.kind}`;
  return [
    ...(has('list') ? [{ ...base('get', 'list', `list${name}`, LIST), ...(list === undefined ? {} : { response: list }) }] : []),
    ...(has('create') ? [{ ...base('post', 'post', `create${name}`, WRITE), body: kind.schema, bodyRequired: true, response: kind.schema, codes: [200, 201, 202] }] : []),
    ...(has('deletecollection') ? [{ ...base('delete', 'deletecollection', `delete${prefix}Collection${scope}${kind.kind}`, DELETE_COLLECTION), body: DELETE_OPTIONS, response: STATUS }] : []),
  ];
}

function ofItem(kind: AnyKind): Operation[] {
  const { base, prefix, scope, patchTypes } = builder(kind);
  const has = (verb: (typeof kind.verbs)[number]) => kind.verbs.includes(verb);
  const name = `${prefix}${scope}${kind.kind}`;
  return [
    ...(has('get') ? [{ ...base('get', 'get', `read${name}`, []), response: kind.schema }] : []),
    ...(has('update') ? [{ ...base('put', 'put', `replace${name}`, WRITE), body: kind.schema, bodyRequired: true, response: kind.schema, codes: [200, 201] }] : []),
    ...(has('delete') ? [{ ...base('delete', 'delete', `delete${name}`, DELETE), body: DELETE_OPTIONS, response: STATUS, codes: [200, 202] }] : []),
    ...(has('patch') ? [{ ...base('patch', 'patch', `patch${name}`, APPLY), body: PATCH, bodyRequired: true, consumes: patchTypes, response: kind.schema, codes: [200, 201] }] : []),
  ];
}

const METHODS: Readonly<Record<string, { method: Method; id: string; query: readonly QueryParameter[] }>> = {
  get: { method: 'get', id: 'read', query: [] },
  update: { method: 'put', id: 'replace', query: WRITE },
  patch: { method: 'patch', id: 'patch', query: APPLY },
  create: { method: 'post', id: 'create', query: WRITE },
  delete: { method: 'delete', id: 'delete', query: DELETE },
};

function ofSubresource(kind: AnyKind, name: string, subresource: Subresource): Operation[] {
  const { base, prefix, scope, patchTypes } = builder(kind);
  const gvk = {
    group: subresource.group ?? kind.group, kind: subresource.kind ?? kind.kind, version: subresource.version ?? kind.version,
  };
  const schema = subresource.kind === undefined ? kind.schema : definitionOfKind(gvk.group === '' ? `${gvk.version}/${gvk.kind}` : `${gvk.group}/${gvk.version}/${gvk.kind}`);
  const connect = CONNECT[name];
  return subresource.verbs.flatMap((verb): Operation[] => {
    const how = METHODS[verb];
    if (!how) return [];
    const id = `${connect && name !== 'log' ? `connect${prefix}${capitalized(how.method)}` : `${how.id}${prefix}`}${scope}${kind.kind}${capitalized(name)}`;
    const action = connect && name !== 'log' ? 'connect' : how.method;
    const description = describe(action, kind.kind, { subresource: name, method: how.method });
    const subject = gvk.kind;
    if (connect) return [{ ...base(how.method, action, id, connect), description, subject, gvk }];
    const operation = { ...base(how.method, action, id, how.query), description, subject, gvk, ...(schema === undefined ? {} : { response: schema }) };
    if (verb === 'get') return [operation];
    const body = verb === 'patch' ? PATCH : schema;
    return [{ ...operation, bodyRequired: true, ...(body === undefined ? {} : { body }), ...(verb === 'patch' ? { consumes: patchTypes } : {}), codes: verb === 'create' ? [200, 201, 202] : [200, 201] }];
  });
}

/** Every definition that the operations of these paths name. */
export function definitionsOf(paths: readonly PathItem[]): Set<string> {
  const names = new Set<string>();
  for (const { operations } of paths) {
    for (const { body, response } of operations) {
      if (body !== undefined) names.add(body);
      if (response !== undefined) names.add(response);
    }
  }
  return names;
}
