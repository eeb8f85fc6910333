// The annotations that are honoured. A value that makes no sense is ignored, as upstream does, and told in the log.
// Source: docs/user-guide/nginx-configuration/annotations.md of ingress-nginx.
import type { Ingress } from '#lib/kinds/types/networking-v1.ts';
import { parseIpv4Cidr } from '#lib/machinery/ipv4.ts';

export const ANNOTATION_PREFIX = 'nginx.ingress.kubernetes.io/';

export interface LocationSettings {
  readonly rewriteTarget: string | undefined;
  readonly useRegex: boolean;
  /** undefined: on where the host has TLS. */
  readonly sslRedirect: boolean | undefined;
  readonly forceSslRedirect: boolean;
  readonly backendProtocol: 'http' | 'https' | 'grpc' | 'grpcs';
  /** As nginx writes sizes: `8m`, `0` for no limit. */
  readonly bodySize: string;
  readonly connectTimeoutSeconds: number;
  readonly sendTimeoutSeconds: number;
  readonly readTimeoutSeconds: number;
  readonly buffering: boolean;
  readonly allowedSources: readonly string[];
  readonly deniedSources: readonly string[];
  readonly upstreamHost: string | undefined;
  readonly permanentRedirect: string | undefined;
  readonly permanentRedirectCode: number;
  readonly temporalRedirect: string | undefined;
  readonly appRoot: string | undefined;
  readonly enableCors: boolean;
  readonly limitRps: number;
  readonly affinity: boolean;
  readonly serverAlias: readonly string[];
}

const PROTOCOLS: Readonly<Record<string, LocationSettings['backendProtocol']>> = { HTTP: 'http', HTTPS: 'https', GRPC: 'grpc', GRPCS: 'grpcs', AUTO_HTTP: 'http' };
/** Whatever ends up in the configuration must not end a directive or open a block. */
const SAFE_TEXT = /^[^\s;{}"'\\#]+$/;
const SIZE = /^\d+[kKmMgG]?$/;

/** `problems` collects `name: value` of what was ignored. */
export function settingsOf({ metadata }: Ingress, problems: string[] = []): LocationSettings {
  const annotations = metadata.annotations ?? {};
  const read = <T>(name: string, parse: (text: string) => T | undefined, fallback: T): T => {
    const text = annotations[ANNOTATION_PREFIX + name];
    if (text === undefined) return fallback;
    const value = parse(text.trim());
    if (value === undefined) problems.push(`${name}: ${text}`);
    return value ?? fallback;
  };
  const bool = (text: string): boolean | undefined => (/^(true|false)$/i.test(text) ? text.toLowerCase() === 'true' : undefined);
  const safe = (text: string): string | undefined => (SAFE_TEXT.test(text) ? text : undefined);
  const seconds = (text: string): number | undefined => (/^\d{1,6}$/.test(text) ? Number(text) : undefined);
  const sources = (text: string): string[] | undefined => {
    const parts = text.split(',').map((part) => part.trim()).filter((part) => part !== '');
    return parts.every((part) => parseIpv4Cidr(part.includes('/') ? part : `${part}/32`) !== undefined) ? parts : undefined;
  };
  return {
    rewriteTarget: read('rewrite-target', safe, undefined),
    useRegex: read('use-regex', bool, false),
    sslRedirect: read<boolean | undefined>('ssl-redirect', bool, undefined),
    forceSslRedirect: read('force-ssl-redirect', bool, false),
    backendProtocol: read('backend-protocol', (text) => (Object.hasOwn(PROTOCOLS, text.toUpperCase()) ? PROTOCOLS[text.toUpperCase()] : undefined), 'http'),
    bodySize: read('proxy-body-size', (text) => (SIZE.test(text) ? text : undefined), '1m'),
    connectTimeoutSeconds: read('proxy-connect-timeout', seconds, 5),
    sendTimeoutSeconds: read('proxy-send-timeout', seconds, 60),
    readTimeoutSeconds: read('proxy-read-timeout', seconds, 60),
    buffering: read('proxy-buffering', (text) => (/^(on|off)$/i.test(text) ? text.toLowerCase() === 'on' : undefined), false),
    allowedSources: read('whitelist-source-range', sources, read('allowlist-source-range', sources, [])),
    deniedSources: read('denylist-source-range', sources, []),
    upstreamHost: read('upstream-vhost', safe, undefined),
    permanentRedirect: read('permanent-redirect', safe, undefined),
    permanentRedirectCode: read('permanent-redirect-code', (text) => (/^3\d\d$/.test(text) ? Number(text) : undefined), 301),
    temporalRedirect: read('temporal-redirect', safe, undefined),
    appRoot: read('app-root', (text) => (text.startsWith('/') ? safe(text) : undefined), undefined),
    enableCors: read('enable-cors', bool, false),
    limitRps: read('limit-rps', seconds, 0),
    affinity: read('affinity', (text) => (text === 'cookie' ? true : undefined), false),
    serverAlias: read('server-alias', (text) => {
      const names = text.split(',').map((name) => name.trim()).filter((name) => name !== '');
      return names.every((name) => SAFE_TEXT.test(name)) ? names : undefined;
    }, []),
  };
}
