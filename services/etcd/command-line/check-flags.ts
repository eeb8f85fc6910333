// What flags say together. Source: etcd v3.6, embed.Config.Validate.
import { isIP } from 'node:net';
import { FlagError } from '#lib/service/flags.ts';
import type { EtcdFlags } from './flags.ts';

/** Throws FlagError. */
export function checkFlags(flags: EtcdFlags): void {
  const { heartbeatInterval, electionTimeout, compactHashCheckTimeMs, initialAdvertisePeerUrls, advertiseClientUrls, logger } = flags;
  for (const urls of [flags.listenPeerUrls, flags.listenClientUrls, flags.listenClientHttpUrls, flags.listenMetricsUrls]) urls.forEach(checkBindUrl);
  checkHostUrls('initial-advertise-peer-urls', initialAdvertisePeerUrls);
  checkHostUrls('advertise-client-urls', advertiseClientUrls);
  if (5 * heartbeatInterval > electionTimeout) throw new FlagError(`--election-timeout[${electionTimeout}ms] should be at least as 5 times as --heartbeat-interval[${heartbeatInterval}ms]`);
  if (advertiseClientUrls.length === 0) throw new FlagError('--advertise-client-urls is required when --listen-client-urls is set explicitly');
  if (compactHashCheckTimeMs <= 0) throw new FlagError(`--compact-hash-check-time must be >0 (set to ${compactHashCheckTimeMs / 1000}s)`);
  if (logger !== 'zap') throw new FlagError(`unknown logger option ${JSON.stringify(logger)}`);
}

const isUnixSocket = (text: string): boolean => /^unixs?:/.test(text);
const hostOf = (text: string): string => parse(text).hostname.replace(/^\[|\]$/g, '');

function parse(text: string): URL {
  if (!URL.canParse(text)) throw new FlagError(`parse ${JSON.stringify(text)}: invalid URL`);
  const url = new URL(text);
  if (!['http:', 'https:', 'unix:', 'unixs:'].includes(url.protocol)) throw new FlagError(`URL scheme must be http, https, unix, or unixs: ${text}`);
  return url;
}

function checkBindUrl(text: string): void {
  const host = hostOf(text);
  if (!isUnixSocket(text) && host !== 'localhost' && isIP(host) === 0) throw new FlagError(`expected IP in URL for binding (${text})`);
}

function checkHostUrls(flag: string, urls: readonly string[]): void {
  for (const url of urls) if (!isUnixSocket(url) && hostOf(url) === '') throw new FlagError(`--${flag} ${JSON.stringify(urls.join())} must be "host:port" (unexpected empty host (${url}))`);
}
