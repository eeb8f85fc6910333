// Manifests and configurations of images as the OCI image specification and Docker's schema 2 have them; what a registry or
// an archive sends is checked here, once.
import type { ImageConfig } from './container-plan.ts';

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Manifest {
  readonly config: Descriptor;
  /** Lowest first. */
  readonly layers: readonly Descriptor[];
}

export interface ConfiguredImage {
  readonly config: ImageConfig;
  /** Digests of the layers' tar archives, uncompressed, lowest first. */
  readonly diffIds: readonly string[];
  readonly volumes: readonly string[];
}

export const MANIFEST_TYPES = [
  'application/vnd.docker.distribution.manifest.v2+json', 'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.index.v1+json',
] as const;

/** Source: OCI image specification, limits recommended there; containerd reads no larger manifest. */
export const MANIFEST_LIMIT_BYTES = 4 * 1024 * 1024;
export const CONFIG_LIMIT_BYTES = 8 * 1024 * 1024;
/** overlayfs takes 500; far fewer fit into the options of one mount. */
export const LAYER_LIMIT = 127;

const DIGEST = /^sha256:[0-9a-f]{64}$/;

export class MalformedImage extends Error {
  override readonly name = 'MalformedImage';
}

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

export function parseJson(bytes: Uint8Array, what: string): Json {
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw new MalformedImage(`${what} is not JSON`, { cause: error });
  }
  if (!isObject(parsed)) throw new MalformedImage(`${what} is not a JSON object`);
  return parsed;
}

function descriptor(value: unknown, what: string): Descriptor {
  if (!isObject(value)) throw new MalformedImage(`${what} is missing`);
  const { mediaType, digest, size, annotations } = value;
  if (typeof digest !== 'string' || !DIGEST.test(digest)) throw new MalformedImage(`${what} has no sha256 digest`);
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw new MalformedImage(`${what} has no size`);
  const named = isObject(annotations) ? Object.fromEntries(Object.entries(annotations).map(([key, note]) => [key, text(note)])) : {};
  return { mediaType: text(mediaType), digest, size, annotations: named };
}

/** An index lists manifests, of one platform each; undefined when the text is a manifest itself. */
export function parseIndex(json: Json): { readonly descriptor: Descriptor; readonly platform: Platform | undefined }[] | undefined {
  if (!Array.isArray(json['manifests'])) return undefined;
  return json['manifests'].map((entry: unknown, index) => ({
    descriptor: descriptor(entry, `manifest ${index}`),
    platform: isObject(entry) && isObject(entry['platform']) ? { os: text(entry['platform']['os']), architecture: text(entry['platform']['architecture']), variant: text(entry['platform']['variant']) } : undefined,
  }));
}

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

/** Node's name of a processor in Go's words. */
export const goArchitecture = (arch: string): string => ({ x64: 'amd64', ia32: '386' })[arch] ?? arch;

/** The manifest for this machine; one without a platform is taken when it is the only one. Attestations are not images. */
export function pickManifest(index: NonNullable<ReturnType<typeof parseIndex>>, architecture: string): Descriptor | undefined {
  const fitting = index.filter(({ platform }) => platform?.os === 'linux' && platform.architecture === architecture);
  const best = fitting.find(({ platform }) => platform?.variant === '' || platform?.variant === 'v8') ?? fitting[0];
  if (best) return best.descriptor;
  const anywhere = index.filter(({ platform }) => platform === undefined);
  return anywhere.length === 1 ? anywhere[0]?.descriptor : undefined;
}

export function parseManifest(json: Json): Manifest {
  if (json['schemaVersion'] === 1) throw new MalformedImage('the manifest is of schema version 1, which is no longer supported');
  const { layers } = json;
  if (!Array.isArray(layers)) throw new MalformedImage('the manifest has no layers');
  if (layers.length > LAYER_LIMIT) throw new MalformedImage(`the image has ${layers.length} layers; at most ${LAYER_LIMIT} are supported`);
  return { config: descriptor(json['config'], 'the config of the manifest'), layers: layers.map((layer, index) => descriptor(layer, `layer ${index}`)) };
}

/** Throws MalformedImage when it is for another platform, too. */
export function parseImageConfig(json: Json, architecture: string): ConfiguredImage {
  const { os, architecture: built, rootfs, config } = json;
  if (text(os) !== '' && os !== 'linux') throw new MalformedImage(`the image is for ${text(os)}, not for linux`);
  if (text(built) !== '' && built !== architecture) throw new MalformedImage(`the image is for ${text(built)}, not for ${architecture}`);
  const diffIds = isObject(rootfs) ? texts(rootfs['diff_ids']) : [];
  if (diffIds.some((id) => !DIGEST.test(id))) throw new MalformedImage('the image names a layer without a sha256 digest');
  const inner = isObject(config) ? config : {};
  return {
    diffIds,
    volumes: isObject(inner['Volumes']) ? Object.keys(inner['Volumes']) : [],
    config: {
      entrypoint: texts(inner['Entrypoint']), command: texts(inner['Cmd']), environment: texts(inner['Env']), workingDirectory: text(inner['WorkingDir']),
      user: text(inner['User']), stopSignal: signalName(text(inner['StopSignal'])),
    },
  };
}

const SIGNALS: Readonly<Record<string, string>> = { 1: 'SIGHUP', 2: 'SIGINT', 3: 'SIGQUIT', 6: 'SIGABRT', 9: 'SIGKILL', 10: 'SIGUSR1', 12: 'SIGUSR2', 15: 'SIGTERM', 28: 'SIGWINCH' };

/** `QUIT`, `SIGQUIT` and `3` are the same; empty for what is none. */
export function signalName(value: string): string {
  if (/^\d+$/.test(value)) return SIGNALS[value] ?? '';
  const name = value.toUpperCase();
  return name === '' ? '' : name.startsWith('SIG') ? name : `SIG${name}`;
}
