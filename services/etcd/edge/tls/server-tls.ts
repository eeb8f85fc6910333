// TLS of those who listen: the certificate that is shown now, and who is let in with theirs.
// Source: etcd v3.6, client/pkg/transport/listener.go (ServerConfig), listener_tls.go.
import { lookup, reverse } from 'node:dns/promises';
import type { X509Certificate } from 'node:crypto';
import type { DetailedPeerCertificate, SecureContextOptions, TLSSocket } from 'node:tls';
import type { Logger } from 'pino';
import { systemAuthorities } from '#lib/pki/system-authorities.ts';
import { namesIn, objectionToPeer, type Resolver } from '../peers/peer-certificate.ts';
import { objectionToNames } from './allowed-names.ts';
import { RevocationList } from './revocation-list.ts';
import { authoritiesIn, keyPairsOf, protocolOf, type TlsInfo } from './tls-info.ts';

export interface ServerTls {
  /** Clients have to show a certificate that an authority vouches for. */
  readonly requestCert: boolean;
  /** For a connection that comes now; the same object while the files say the same. Throws TlsError. */
  readonly contextOptions: () => SecureContextOptions;
  /** What is wrong with the certificate of a client that an authority vouches for; undefined: nothing. */
  readonly objectionTo: (socket: TLSSocket) => Promise<string | undefined>;
  /** Logs that a connection ends here. `remote`: its address and port. */
  readonly onRefused: (socket: TLSSocket | undefined, remote: string, error: string) => void;
}

export interface ServerTlsOptions {
  /** Logged for those who are not let in. */
  readonly refusal: string;
  /** Whoever shows a certificate with names must come from one of them. */
  readonly checksAddress: boolean;
  readonly log: Logger;
  readonly resolver?: Resolver;
}

const systemResolver: Resolver = { namesOf: reverse, addressesOf: async (name) => (await lookup(name, { all: true })).map(({ address }) => address) };

/** Throws TlsError. */
export function newServerTls(info: TlsInfo, { refusal, checksAddress, log, resolver = systemResolver }: ServerTlsOptions): ServerTls {
  const { server: files } = keyPairsOf(info);
  const requestCert = info.trustedCaFile !== '' || info.clientCertAuth;
  const common = { ...protocolOf(info), ...(info.trustedCaFile !== '' ? authoritiesIn(info.trustedCaFile) : requestCert ? { ca: [...systemAuthorities()] } : {}) };
  const revoked = info.crlFile === '' ? undefined : new RevocationList(info.crlFile);
  let shown = files.read();
  let options: SecureContextOptions = { ...common, ...shown };
  return {
    requestCert,
    contextOptions: () => {
      let now;
      try {
        now = files.read();
      } catch (error) {
        log.warn({ err: error, 'cert-file': info.certFile, 'key-file': info.keyFile }, 'failed to create peer certificate');
        throw error;
      }
      if (now !== shown) options = { ...common, ...(shown = now) };
      return options;
    },
    objectionTo: async (socket) => {
      const certificate = socket.getPeerX509Certificate();
      if (certificate === undefined) return undefined;
      return objectionToNames(certificate, info.allowed)
        ?? (checksAddress && !info.skipsClientSanVerification ? await objectionToPeer(certificate.subjectAltName, socket.remoteAddress ?? '', resolver) : undefined)
        ?? await revoked?.objectionTo(chainOf(socket));
    },
    onRefused: (socket, remote, error) => {
      const certificate = socket?.getPeerX509Certificate();
      const names = certificate === undefined ? undefined : namesIn(certificate.subjectAltName);
      const fields = { 'remote-addr': remote, 'server-name': socket?.servername || '', ...(names === undefined ? {} : { 'ip-addresses': names.addresses, 'dns-names': names.dnsNames }), error };
      log[error === 'EOF' ? 'debug' : 'warn'](fields, refusal); // those who only look whether the port is open would fill the log
    },
  };
}

/** From the certificate of the client upwards, without the authority at the end: lists are not about that. */
function chainOf(socket: TLSSocket): Pick<X509Certificate, 'serialNumber'>[] {
  const chain: DetailedPeerCertificate[] = [];
  for (let one: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true); one !== undefined && !chain.includes(one); one = one.issuerCertificate) chain.push(one);
  return chain.length > 1 && chain.at(-1)?.issuerCertificate === chain.at(-1) ? chain.slice(0, -1) : chain;
}
