// Signed tokens: --auth-token=jwt,pub-key=FILE,priv-key=FILE,sign-method=RS256,ttl=5m. Who holds the public key can check
// them without asking anybody. Source: etcd v3.6, server/auth/jwt.go.
import { constants, createHmac, createPublicKey, sign, timingSafeEqual, verify, type KeyObject, createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import type { Requester } from '../core/auth/commands.ts';

export interface TokenSigner {
  readonly sign: (by: Requester, nowMs: number) => string;
  /** undefined: it is not signed by us, or its time is over. */
  readonly verify: (token: string, nowMs: number) => Requester | undefined;
}

interface Claims { readonly username: string; readonly revision: number; readonly exp: number }

interface Algorithm {
  readonly sign: (data: string) => Buffer;
  readonly verify: (data: string, signature: Buffer) => boolean;
}

/** Source: etcd, defaultTTL of JWT. */
const DEFAULT_TTL_MS = 5 * 60_000;
const invalid = (text: string): FlagError => new FlagError(`invalid --auth-token "${text}"`);

/** undefined for `simple`. Throws FlagError. */
export function tokenSignerFor(text: string): TokenSigner | undefined {
  const [type, ...pairs] = text.split(',');
  const options = new Map(pairs.map((pair): [string, string] => {
    const [name = '', value, ...rest] = pair.split('=');
    if (value === undefined || rest.length > 0) throw invalid(text);
    return [name, value];
  }));
  if (options.size !== pairs.length) throw invalid(text);
  if (type === 'simple') return undefined;
  if (type !== 'jwt') throw invalid(text);
  const method = options.get('sign-method') ?? '';
  const algorithm = algorithmFor(method, options);
  if (algorithm === undefined) throw invalid(text);
  const ttlMs = options.has('ttl') ? parseDurationMs(options.get('ttl') ?? '') : DEFAULT_TTL_MS;
  const header = encode({ alg: method, typ: 'JWT' });
  return {
    sign: ({ username, authRevision }, nowMs) => {
      const data = `${header}.${encode({ exp: Math.floor((nowMs + ttlMs) / 1000), revision: authRevision, username })}`;
      return `${data}.${algorithm.sign(data).toString('base64url')}`;
    },
    verify: (token, nowMs) => {
      const [head = '', body = '', signature = '', ...rest] = token.split('.');
      if (rest.length > 0 || decode<{ alg?: string }>(head)?.alg !== method || !algorithm.verify(`${head}.${body}`, Buffer.from(signature, 'base64url'))) return undefined;
      const claims = decode<Claims>(body);
      return claims === undefined || claims.exp * 1000 < nowMs ? undefined : { username: claims.username, authRevision: claims.revision };
    },
  };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
function decode<T>(part: string): T | undefined {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString()) as T;
  } catch {
    return undefined; // not ours: the token does not hold
  }
}

/** undefined when the method is not known or its keys are missing. */
function algorithmFor(method: string, options: ReadonlyMap<string, string>): Algorithm | undefined {
  const [, family, bits] = /^(HS|RS|PS|ES)(256|384|512)$/.exec(method) ?? (method === 'EdDSA' ? ['', 'Ed', ''] : []);
  const file = (name: string): Buffer | undefined => (options.has(name) ? readFileSync(options.get(name) ?? '') : undefined);
  const privateFile = file('priv-key');
  const publicFile = file('pub-key');
  if (family === 'HS') {
    if (privateFile === undefined) return undefined;
    const mac = (data: string): Buffer => createHmac(`sha${bits ?? ''}`, privateFile).update(data).digest();
    return { sign: mac, verify: (data, signature) => signature.length === mac(data).length && timingSafeEqual(mac(data), signature) };
  }
  if (family === undefined || (privateFile === undefined && publicFile === undefined)) return undefined;
  const hash = family === 'Ed' ? null : `sha${bits ?? ''}`;
  const privateKey = privateFile && createPrivateKey(privateFile);
  const publicKey = createPublicKey(publicFile ?? privateFile ?? '');
  const keyed = (key: KeyObject) => ({
    key, ...(family === 'ES' ? { dsaEncoding: 'ieee-p1363' as const } : {}),
    ...(family === 'PS' ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST } : {}),
  });
  return {
    sign: (data) => {
      if (privateKey === undefined) throw new Error('token signing attempted with verify-only key');
      return sign(hash, Buffer.from(data), keyed(privateKey));
    },
    verify: (data, signature) => verify(hash, Buffer.from(data), keyed(publicKey), signature),
  };
}
