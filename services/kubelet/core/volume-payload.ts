// The files of configMap, secret, downwardAPI and projected volumes, as data.
// Source: pkg/volume/{configmap,secret,downwardapi,projected}.
import type { ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume } from '#lib/kinds/types/core-v1.ts';
import type { ReferencedObjects } from './environment-variables.ts';
import { fieldValue, resourceValue, type FieldContext } from './downward-api.ts';

export interface PayloadFile {
  readonly content: Uint8Array;
  readonly mode: number;
}
/** Files by path relative to the volume. */
export type Payload = ReadonlyMap<string, PayloadFile>;

/** A volume cannot be set up now; the text goes into the FailedMount event. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError';
}

export interface TokenRequestSpec {
  readonly audience: string;
  readonly expirationSeconds: number;
}

export interface PayloadInputs {
  readonly pod: Pod;
  readonly volume: Volume;
  readonly objects: ReferencedObjects;
  readonly context: FieldContext;
  /** Tokens asked for before, by `tokenKey`. */
  readonly tokens: ReadonlyMap<string, string>;
}

const DEFAULT_MODE = 0o644;
const DEFAULT_TOKEN_SECONDS = 3600;

export const hasPayload = ({ configMap, secret, downwardAPI, projected }: Volume): boolean => (configMap ?? secret ?? downwardAPI ?? projected) !== undefined;
export const tokenKey = ({ audience, expirationSeconds }: TokenRequestSpec): string => `${audience}/${expirationSeconds}`;

export function tokensWanted({ projected }: Volume): TokenRequestSpec[] {
  return (projected?.sources ?? []).flatMap(({ serviceAccountToken: token }) =>
    (token ? [{ audience: token.audience ?? '', expirationSeconds: token.expirationSeconds ?? DEFAULT_TOKEN_SECONDS }] : []));
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const bytesOf = (base64: string): Uint8Array => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

const configMapData = ({ data = {}, binaryData = {} }: ConfigMap): Map<string, Uint8Array> =>
  new Map([...Object.entries(data).map(([key, text]): [string, Uint8Array] => [key, utf8(text)]), ...Object.entries(binaryData).map(([key, text]): [string, Uint8Array] => [key, bytesOf(text)])]);
const secretData = ({ data = {} }: Secret): Map<string, Uint8Array> => new Map(Object.entries(data).map(([key, text]) => [key, bytesOf(text)]));

interface Selection {
  readonly items?: readonly KeyToPath[] | undefined;
  readonly optional: boolean;
  readonly mode: number;
  readonly missingKey: (key: string) => string;
}

function selected(data: ReadonlyMap<string, Uint8Array>, { items, optional, mode, missingKey }: Selection): [string, PayloadFile][] {
  if (!items || items.length === 0) return [...data].map(([key, content]) => [key, { content, mode }]);
  return items.flatMap((item): [string, PayloadFile][] => {
    const content = data.get(item.key);
    if (content) return [[item.path, { content, mode: item.mode ?? mode }]];
    if (optional) return [];
    throw new VolumeError(missingKey(item.key));
  });
}

function fromConfigMap(name: string, source: { items?: readonly KeyToPath[] | undefined; optional?: boolean | undefined }, mode: number, objects: ReferencedObjects): [string, PayloadFile][] {
  const configMap = objects.configMap(name);
  const optional = source.optional === true;
  if (!configMap && !optional) throw new VolumeError(`configmap "${name}" not found`);
  return selected(configMap ? configMapData(configMap) : new Map(), { items: source.items, optional, mode, missingKey: (key) => `configmap references non-existent config key: ${key}` });
}
function fromSecret(name: string, source: { items?: readonly KeyToPath[] | undefined; optional?: boolean | undefined }, mode: number, objects: ReferencedObjects): [string, PayloadFile][] {
  const secret = objects.secret(name);
  const optional = source.optional === true;
  if (!secret && !optional) throw new VolumeError(`secret "${name}" not found`);
  return selected(secret ? secretData(secret) : new Map(), { items: source.items, optional, mode, missingKey: (key) => `references non-existent secret key: ${key}` });
}
function fromFields(items: readonly DownwardAPIVolumeFile[] | undefined, mode: number, { pod, context }: PayloadInputs): [string, PayloadFile][] {
  return (items ?? []).map((item) => {
    const text = item.fieldRef ? fieldValue(pod, item.fieldRef.fieldPath, context) : item.resourceFieldRef ? resourceValue(pod, undefined, item.resourceFieldRef, context) : '';
    return [item.path, { content: utf8(text), mode: item.mode ?? mode }];
  });
}

/** Throws VolumeError when something that is not optional is missing. */
export function volumePayload(inputs: PayloadInputs): Payload {
  const { volume, objects } = inputs;
  if (volume.configMap) return new Map(fromConfigMap(volume.configMap.name ?? '', volume.configMap, volume.configMap.defaultMode ?? DEFAULT_MODE, objects));
  if (volume.secret) return new Map(fromSecret(volume.secret.secretName ?? '', volume.secret, volume.secret.defaultMode ?? DEFAULT_MODE, objects));
  if (volume.downwardAPI) return new Map(fromFields(volume.downwardAPI.items, volume.downwardAPI.defaultMode ?? DEFAULT_MODE, inputs));
  const mode = volume.projected?.defaultMode ?? DEFAULT_MODE;
  const files: [string, PayloadFile][] = [];
  for (const { configMap, secret, downwardAPI, serviceAccountToken } of volume.projected?.sources ?? []) {
    if (configMap) files.push(...fromConfigMap(configMap.name ?? '', configMap, mode, objects));
    if (secret) files.push(...fromSecret(secret.name ?? '', secret, mode, objects));
    if (downwardAPI) files.push(...fromFields(downwardAPI.items, mode, inputs));
    if (serviceAccountToken) {
      const key = tokenKey({ audience: serviceAccountToken.audience ?? '', expirationSeconds: serviceAccountToken.expirationSeconds ?? DEFAULT_TOKEN_SECONDS });
      const token = inputs.tokens.get(key);
      if (token === undefined) throw new VolumeError('failed to fetch token');
      const { runAsUser, fsGroup } = inputs.pod.spec.securityContext ?? {};
      files.push([serviceAccountToken.path, { content: utf8(token), mode: runAsUser === undefined && fsGroup === undefined ? mode : 0o600 }]);
    }
  }
  return new Map(files);
}

/** A path inside a volume that an API object names: relative and without a way out. */
export const isInside = (path: string): boolean => path !== '' && !path.startsWith('/') && !path.split('/').includes('..');
