// From flags to TLS, for clients, peers and metrics. Source: etcd v3.6, embed/etcd.go (configurePeerListeners, configureClientListeners,
// createMetricsListener), embed/config.go (ClientSelfCert, PeerSelfCert).
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { EtcdFlags } from '../../command-line/flags.ts';
import type { PeerTls } from '../peers/http-client.ts';
import { checkCiphersForHttp2, opensslCiphers } from './cipher-suites.ts';
import { newClientTls } from './client-tls.ts';
import { selfSignedFiles } from './self-signed.ts';
import { newServerTls, type ServerTls } from './server-tls.ts';
import { TlsError } from './tls-error.ts';
import { describe, isEmpty, type TlsInfo } from './tls-info.ts';
import { versionsOf } from './versions.ts';

export interface TlsSetup {
  /** Each is absent where nobody listens with TLS. */
  readonly servers: { readonly peers?: ServerTls; readonly clients?: ServerTls; readonly metrics?: ServerTls };
  readonly toPeers: PeerTls;
  /** Clients are who their certificates say. */
  readonly clientCertAuth: boolean;
}

export interface TlsContext {
  readonly dataDir: string;
  readonly nowMs: number;
  readonly log: Logger;
}

type Protocol = Pick<TlsInfo, 'ciphers' | 'minVersion' | 'maxVersion'>;

/** Throws TlsError. */
export async function setUpTls(flags: EtcdFlags, context: TlsContext): Promise<TlsSetup> {
  const { log } = context;
  const versions = versionsOf(flags);
  const protocol = { ciphers: opensslCiphers(flags.cipherSuites), ...versions };
  const ofPeers = await peerInfo(flags, protocol, context);
  if (!isEmpty(ofPeers)) log.info({ 'tls-info': describe(ofPeers), 'cipher-suites': flags.cipherSuites }, 'starting with peer TLS');
  const peers = peerServer(flags, ofPeers, log);
  const ofClients = await clientInfo(flags, protocol, context);
  if (!isEmpty(ofClients)) log.info({ 'tls-info': describe(ofClients), 'cipher-suites': flags.cipherSuites }, 'starting with client TLS');
  const { clients, metrics } = clientServers(flags, ofClients, log);
  if (clients !== undefined && versions.minVersion !== 'TLSv1.3' && !servesGrpcOnly(flags)) checkCiphersForHttp2(flags.cipherSuites);
  return {
    servers: { ...(peers === undefined ? {} : { peers }), ...(clients === undefined ? {} : { clients }), ...(metrics === undefined ? {} : { metrics }) },
    toPeers: newClientTls(ofPeers, log), clientCertAuth: ofClients.clientCertAuth,
  };
}

async function peerInfo(flags: EtcdFlags, protocol: Protocol, context: TlsContext): Promise<TlsInfo> {
  const info: TlsInfo = {
    ...protocol, certFile: flags.peerCertFile, keyFile: flags.peerKeyFile, clientCertFile: flags.peerClientCertFile, clientKeyFile: flags.peerClientKeyFile,
    trustedCaFile: flags.peerTrustedCaFile, clientCertAuth: flags.peerClientCertAuth, crlFile: flags.peerCrlFile,
    allowed: { commonNames: flags.peerCertAllowedCn, hostnames: flags.peerCertAllowedHostname }, skipsClientSanVerification: flags.peerSkipClientSanVerification, isSelfSigned: false,
  };
  if (!flags.peerAutoTls) return info;
  if (isEmpty(info)) return selfSignedInfo('peer', flags.listenPeerUrls, flags, protocol, context);
  context.log.warn('ignoring peer auto TLS since certs given');
  return info;
}

async function clientInfo(flags: EtcdFlags, protocol: Protocol, context: TlsContext): Promise<TlsInfo> {
  const info: TlsInfo = {
    ...protocol, certFile: flags.certFile, keyFile: flags.keyFile, clientCertFile: flags.clientCertFile, clientKeyFile: flags.clientKeyFile,
    trustedCaFile: flags.trustedCaFile, clientCertAuth: flags.clientCertAuth, crlFile: flags.clientCrlFile,
    allowed: { commonNames: [], hostnames: flags.clientCertAllowedHostname }, skipsClientSanVerification: false, isSelfSigned: false,
  };
  if (!flags.autoTls) return info;
  if (isEmpty(info)) return selfSignedInfo('client', [...flags.listenClientUrls, ...flags.listenClientHttpUrls], flags, protocol, context);
  context.log.warn('ignoring client auto TLS since certs given');
  return info;
}

/** Nothing of what other flags say about certificates applies then: nobody is asked for one. */
async function selfSignedInfo(kind: 'peer' | 'client', urls: readonly string[], { selfSignedCertValidity: validityYears }: EtcdFlags, protocol: Protocol, { dataDir, nowMs, log }: TlsContext): Promise<TlsInfo> {
  const hosts = urls.map((url) => new URL(url).hostname.replace(/^\[(.*)\]$/, '$1'));
  const { certFile, keyFile } = await selfSignedFiles({ folder: join(dataDir, 'fixtures', kind), hosts, validityYears, nowMs, log }).catch((error: unknown) => {
    throw new TlsError(`failed to get ${kind} self-signed certs: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  });
  return {
    ...protocol, certFile, keyFile, clientCertFile: certFile, clientKeyFile: keyFile, trustedCaFile: '', clientCertAuth: false, crlFile: '',
    allowed: { commonNames: [], hostnames: [] }, skipsClientSanVerification: false, isSelfSigned: true,
  };
}

/** Unix sockets of peers go without TLS, whatever they are called. */
function peerServer({ listenPeerUrls }: EtcdFlags, info: TlsInfo, log: Logger): ServerTls | undefined {
  for (const url of listenPeerUrls.filter((one) => new URL(one).protocol === 'http:')) {
    if (!isEmpty(info)) log.warn({ 'peer-url': url }, 'scheme is HTTP while key and cert files are present; ignoring key and cert files');
    if (info.clientCertAuth) log.warn({ 'peer-url': url }, 'scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert auth for this URL');
  }
  const secure = listenPeerUrls.find((url) => new URL(url).protocol === 'https:');
  if (secure === undefined) return undefined;
  if (isEmpty(info)) throw new TlsError(`cannot listen on TLS for ${new URL(secure).host}: KeyFile and CertFile are not presented`);
  return newServerTls(info, { refusal: 'rejected connection on peer endpoint', checksAddress: true, log });
}

const isSecure = (url: string): boolean => ['https:', 'unixs:'].includes(new URL(url).protocol);

function clientServers({ listenClientUrls, listenClientHttpUrls, listenMetricsUrls }: EtcdFlags, info: TlsInfo, log: Logger): { readonly clients?: ServerTls; readonly metrics?: ServerTls } {
  const urls = [...listenClientUrls, ...listenClientHttpUrls];
  for (const url of urls) {
    if (!isSecure(url) && !isEmpty(info)) log.warn({ 'client-url': url }, 'scheme is http or unix while key and cert files are present; ignoring key and cert files');
    if (!isSecure(url) && info.clientCertAuth) log.warn({ 'client-url': url }, 'scheme is http or unix while --client-cert-auth is enabled; ignoring client cert auth for this URL');
    if (isSecure(url) && isEmpty(info)) throw new TlsError(`TLS key/cert (--cert-file, --key-file) must be provided for client url ${url} with HTTPS scheme`);
  }
  if (listenMetricsUrls.some(isSecure) && isEmpty(info)) throw new TlsError('client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url');
  const serverTls = (checksAddress: boolean): ServerTls => newServerTls(info, { refusal: 'rejected connection on client endpoint', checksAddress, log });
  return { ...(urls.some(isSecure) ? { clients: serverTls(false) } : {}), ...(listenMetricsUrls.some(isSecure) ? { metrics: serverTls(true) } : {}) };
}

/** With TLS: HTTP has its own addresses, and those are without. */
const servesGrpcOnly = ({ listenClientHttpUrls }: EtcdFlags): boolean => listenClientHttpUrls.length > 0 && !listenClientHttpUrls.some(isSecure);
