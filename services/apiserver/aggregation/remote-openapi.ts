// What servers behind APIServices publish as OpenAPI: fetched when a client asks, and believed for a while.
// Source: kube-aggregator pkg/controllers/openapi/aggregator, pkg/controllers/openapiv3/aggregator.
import type { Logger } from 'pino';
import type { Clock } from '#lib/environment/clock.ts';
import type { RemoteV2 } from '../openapi/documents.ts';
import type { JsonSchema } from '../openapi/json-schema.ts';
import type { RemoteOpenApi } from '../openapi/routes.ts';

/** Source: kube-aggregator pkg/controllers/openapi/controller.go, successfulUpdateDelay. Milliseconds. */
const FRESH_MS = 60_000;
/** Source: failedUpdateMaxExpDelay's first step, generously. Milliseconds. */
const RETRY_MS = 5_000;

export interface RemoteSource {
  readonly group: string;
  readonly version: string;
  /** Changes with the server. */
  readonly identity: string;
  /** Parsed JSON of the document at `path`. Throws an Error. */
  readonly fetch: (path: string) => Promise<unknown>;
}

type Fetched<T> = { readonly identity: string; readonly value: Promise<T | undefined>; staleAtMs: number };

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const member = (value: unknown, name: string): unknown => (isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined);

/** The document that a server's own index names for its group and version. */
async function v3Of({ group, version, fetch }: RemoteSource): Promise<Buffer | undefined> {
  const url = member(member(member(await fetch('/openapi/v3'), 'paths'), `apis/${group}/${version}`), 'serverRelativeURL');
  if (typeof url !== 'string' || !url.startsWith('/')) return undefined;
  const document = await fetch(url);
  return isObject(document) ? Buffer.from(JSON.stringify(document)) : undefined;
}

/** Only what the group may speak of. */
async function v2Of({ group, version, fetch }: RemoteSource): Promise<RemoteV2 | undefined> {
  const document = await fetch('/openapi/v2');
  const schemas = (value: unknown): Record<string, JsonSchema> => Object.fromEntries(Object.entries(isObject(value) ? value : {}).filter((entry): entry is [string, JsonSchema] => isObject(entry[1])));
  const paths = Object.entries(schemas(member(document, 'paths'))).filter(([path]) => path.startsWith(`/apis/${group}/${version}/`));
  return { paths: Object.fromEntries(paths), definitions: schemas(member(document, 'definitions')) };
}

export function remoteOpenApi(sources: () => readonly RemoteSource[], { clock, log }: { readonly clock: Clock; readonly log: Logger }): RemoteOpenApi {
  const remembered = <T>(load: (source: RemoteSource) => Promise<T | undefined>) => {
    const known = new Map<string, Fetched<T>>();
    return async (): Promise<[path: string, value: T][]> => {
      const current = sources();
      const paths = new Set(current.map(({ group, version }) => `apis/${group}/${version}`));
      for (const path of known.keys()) if (!paths.has(path)) known.delete(path);
      const found = await Promise.all(current.map(async (source): Promise<[string, T][]> => {
        const path = `apis/${source.group}/${source.version}`;
        const before = known.get(path);
        let fetched = before;
        if (!fetched || fetched.identity !== source.identity || clock.nowMs() >= fetched.staleAtMs) {
          const next: Fetched<T> = {
            identity: source.identity, staleAtMs: clock.nowMs() + FRESH_MS,
            value: load(source).catch((error: unknown) => {
              next.staleAtMs = clock.nowMs() + RETRY_MS;
              log.warn({ err: error, path }, 'cannot fetch the OpenAPI of an APIService');
              return before?.value; // better what it said before than nothing
            }),
          };
          known.set(path, next);
          fetched = next;
        }
        const value = await fetched.value;
        return value === undefined ? [] : [[path, value]];
      }));
      return found.flat();
    };
  };
  const [v3, v2] = [remembered(v3Of), remembered(v2Of)];
  return { v3: async () => new Map(await v3()), v2: async () => (await v2()).map(([, value]) => value) };
}
