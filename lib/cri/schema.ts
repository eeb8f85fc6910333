// What CRI's .proto declares, as far as that file uses the language: messages, enums and services side by side, fields
// that are single, repeated or maps with text as keys. A declaration is read when it is first used: a general parser
// takes 8 ms of each start of a kubelet and a runtime for all of them.
import { CRI_PROTO } from './proto.ts';

export interface Enumeration {
  readonly values: Readonly<Record<string, number>>;
  readonly names: Readonly<Record<number, string>>;
}

export interface Field {
  readonly id: number;
  /** `pod_sandbox_id` is podSandboxId, `CDI_devices` is CDIDevices. */
  readonly name: string;
  /** Type of the value (of a map: of its values) as declared. */
  readonly type: string;
  readonly shape: 'single' | 'repeated' | 'map';
}

export interface Method {
  readonly name: string;
  readonly requestType: string;
  readonly responseType: string;
  readonly isStream: boolean;
}

const DECLARATION = /^(message|enum|service) (\w+) \{([^}]*)\}/gm;
const declarations = new Map([...CRI_PROTO.matchAll(DECLARATION)].map(([, keyword = '', name = '', body = '']) => [`${keyword} ${name}`, body]));

function bodyOf(keyword: string, name: string): string {
  const body = declarations.get(`${keyword} ${name}`);
  if (body === undefined) throw new Error(`CRI has no ${keyword} ${name}`);
  return body;
}

/** As protobuf's compilers do. */
const camelCase = (name: string): string => (name[0] ?? '') + name.slice(1).replace(/_([a-z])(?=[a-z]|$)/g, (_, letter: string) => letter.toUpperCase());

export const isMessage = (name: string): boolean => declarations.has(`message ${name}`);
export const isEnumeration = (name: string): boolean => declarations.has(`enum ${name}`);

export function fieldsOf(message: string): Field[] {
  const lines = bodyOf('message', message).matchAll(/(repeated )?(?:map<string, *(\w+)>|(\w+)) (\w+) = (\d+);/g);
  return [...lines].map(([, repeated, ofMap, type = '', name = '', id]) => ({
    id: Number(id), name: camelCase(name), type: ofMap ?? type, shape: ofMap !== undefined ? 'map' : repeated !== undefined ? 'repeated' : 'single',
  }));
}

export function enumeration(name: string): Enumeration {
  const entries = [...bodyOf('enum', name).matchAll(/(\w+) = (\d+);/g)].map(([, word = '', number]) => [word, Number(number)] as const);
  return { values: Object.fromEntries(entries), names: Object.fromEntries(entries.map(([word, number]) => [number, word])) };
}

export function methodsOf(service: string): Method[] {
  const lines = bodyOf('service', service).matchAll(/rpc (\w+)\((\w+)\) returns \((stream )?(\w+)\);/g);
  return [...lines].map(([, name = '', requestType = '', stream, responseType = '']) => ({ name, requestType, responseType, isStream: stream !== undefined }));
}
