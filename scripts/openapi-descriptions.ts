// Descriptions of the types and fields of the Kubernetes API, taken at build time out of published TypeScript models:
// @kubernetes/client-node is made from v1.36 and knows every type, but says nothing about fields that are themselves
// structs and drops line breaks; kubernetes-models is made from an older version, and has both. Nothing of either runs.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import types from '#lib/kinds/openapi/types.json' with { type: 'json' };

/** What one definition says: `''` is the text of the type itself, other keys are fields. `enum` lists a field's values. */
export interface DefinitionTexts {
  readonly texts: Readonly<Record<string, string>>;
  readonly enums?: Readonly<Record<string, readonly string[]>>;
}

interface Model {
  readonly texts: Map<string, string>;
  readonly enums: Map<string, string[]>;
}

/** A comment (or none), a quoted property and its type, up to the end of the line; or the head of the type. */
const MEMBER = /(?:\/\*\*\n((?:(?!\*\/)[\s\S])*?)\s*\*\/\n)?[ ]*(?:['"]([^'"]+)['"]\??: ([^\n]*)|export (?:declare class|interface|type) (\w+))/g;

const commentText = (raw: string): string => raw.split('\n').map((line) => line.replace(/^ *\* ?/, '')).join('\n').trim();

function readModel(source: string, { nameOf, unescape }: { readonly nameOf: (property: string) => string; readonly unescape: (text: string) => string }): Model {
  const model: Model = { texts: new Map(), enums: new Map() };
  for (const [, comment, property, type = '', head] of source.matchAll(MEMBER)) {
    if (head !== undefined && model.texts.has('')) break; // the class repeats the interface
    const name = head === undefined ? nameOf(property ?? '') : '';
    model.texts.set(name, comment === undefined ? '' : unescape(commentText(comment)));
    const values = /^(?:Array<)?((?:"[^"]*"(?: \| )?)+)>?;$/.exec(type)?.[1];
    if (values !== undefined) model.enums.set(name, values.split(' | ').map((value) => value.slice(1, -1)));
  }
  return model;
}

const capitalized = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

/** By definition; the names of its classes are made of version and kind, and of the group where that is not enough. */
function clientNodeModel(folder: string, definition: string): Model | undefined {
  const [kind = '', version = '', group = ''] = definition.split('.').reverse();
  const name = [capitalized(group) + capitalized(version) + kind, capitalized(version) + kind].find((one) => existsSync(join(folder, `${one}.d.ts`)));
  if (name === undefined) return undefined;
  const baseNames = new Map([...readFileSync(join(folder, `${name}.js`), 'utf8').matchAll(/"name": "([^"]+)",\s*"baseName": "([^"]+)"/g)].map(([, property = '', base = '']) => [property, base]));
  const source = readFileSync(join(folder, `${name}.d.ts`), 'utf8');
  return readModel(source.slice(source.search(/\/\*\*\n(?:(?!\*\/)[\s\S])*?\*\/\nexport|export /)), {
    nameOf: (property) => baseNames.get(property) ?? property,
    unescape: (text) => text.replaceAll('*_/', '*/').replace(/\\(["'\\])/g, '$1'),
  });
}

function kubernetesModel(modules: string, definition: string): Model | undefined {
  const machinery = 'io.k8s.apimachinery.pkg.';
  const path = definition.startsWith(machinery)
    ? join(modules, '@kubernetes-models/apimachinery', ...definition.slice(machinery.length).split('.'))
    : join(modules, 'kubernetes-models', ...groupFolder(definition));
  if (!existsSync(`${path}.d.ts`)) return undefined;
  const source = readFileSync(`${path}.d.ts`, 'utf8');
  return readModel(source.slice(source.search(/\/\*\*\n(?:(?!\*\/)[\s\S])*?\*\/\nexport|export /)), { nameOf: (property) => property, unescape: (text) => text.replace(/\\([*_[\]])/g, '$1') });
}

/** Definitions name a group by its first part, folders in full. */
function groupFolder(definition: string): string[] {
  const [kind = '', version = '', group = ''] = definition.split('.').reverse();
  if (group === 'core') return [version, kind];
  const folders: Readonly<Record<string, string>> = { rbac: 'rbac.authorization.k8s.io', flowcontrol: 'flowcontrol.apiserver.k8s.io', apps: 'apps', autoscaling: 'autoscaling', batch: 'batch', policy: 'policy' };
  return [folders[group] ?? `${group}.k8s.io`, version, kind];
}

const ENUM_TEXT = /\n\nPossible enum values:[\s\S]*$/;
/** Texts that differ only in breaks, escapes and the list of values are the same text. */
const essence = (text: string): string => text.replace(ENUM_TEXT, '').replace(/[\s\\]+/g, '');

function joined(newer: Model | undefined, richer: Model | undefined): DefinitionTexts | undefined {
  const texts: Record<string, string> = {};
  for (const name of new Set([...(newer?.texts.keys() ?? []), ...(richer?.texts.keys() ?? [])])) {
    const [flat = '', full = ''] = [newer?.texts.get(name), richer?.texts.get(name)];
    const text = flat === '' || essence(flat) === essence(full) ? full : flat;
    if (text !== '') texts[name] = text;
  }
  const enums = Object.fromEntries(richer?.enums ?? []);
  if (Object.keys(texts).length === 0) return undefined;
  return { texts, ...(Object.keys(enums).length === 0 ? {} : { enums }) };
}

const ENTITIES: Readonly<Record<string, string>> = { '#39': "'", quot: '"', '#x60': '`', '#x3D': '=', lt: '<', gt: '>', amp: '&' };

/** What the query and path parameters mean; `patch.NAME` where a patch says something else. Core first: it has them all. */
function parameterTexts(generated: string): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const api of ['CoreV1Api', 'AppsV1Api']) {
    const source = readFileSync(join(generated, `apis/${api}.d.ts`), 'utf8');
    for (const [, comment = '', method = ''] of source.matchAll(/\/\*\*\n((?:(?!\*\/)[\s\S])*?)\*\/\n\s+(\w+)\(/g)) {
      for (const [, name = '', text = ''] of comment.matchAll(/@param (\S+) (.+)/g)) {
        if (name === 'name') continue; // names the kind
        const plain = text.replace(/\\?&(#?\w+);/g, (entity, code: string) => ENTITIES[code] ?? entity);
        const key = name.replace(/^_/, '');
        texts[key] ??= plain;
        if (method.startsWith('patch') && texts[key] !== plain) texts[`patch.${key}`] ??= plain;
      }
    }
  }
  return texts;
}

export interface OpenApiDescriptions {
  readonly definitions: Readonly<Record<string, DefinitionTexts>>;
  readonly parameters: Readonly<Record<string, string>>;
}

/** Undefined when the models are not installed, as in a build without development dependencies. */
export function openApiDescriptions(root: string): OpenApiDescriptions | undefined {
  const modules = join(root, 'node_modules');
  const generated = join(modules, '@kubernetes/client-node/dist/gen');
  const folder = join(generated, 'models');
  if (!existsSync(folder)) return undefined;
  const definitions: Record<string, DefinitionTexts> = {};
  for (const definition of Object.keys(types.definitions)) {
    const one = joined(clientNodeModel(folder, definition), kubernetesModel(modules, definition));
    if (one) definitions[definition] = one;
  }
  return { definitions, parameters: parameterTexts(generated) };
}
