// TLS of a member that connects to others: the certificate that it shows now, and which of theirs it takes.
// Source: etcd v3.6, client/pkg/transport/listener.go (ClientConfig).
import { X509Certificate } from 'node:crypto';
import { connect as connectTcp, isIP } from 'node:net';
import { connect, createSecureContext, type ConnectionOptions, type SecureContext, type SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import { systemAuthorities } from '#lib/pki/system-authorities.ts';
import type { PeerTls } from '../peers/http-client.ts';
import { namesIn } from '../peers/peer-certificate.ts';
import { isFor, objectionToNames } from './allowed-names.ts';
import type { KeyPair } from './key-pair.ts';
import { refusalOver } from './refusal-alert.ts';
import { TlsError } from './tls-error.ts';
import { authoritiesIn, isEmpty, keyPairsOf, protocolOf, type TlsInfo } from './tls-info.ts';

/** Throws TlsError. */
export function newClientTls(info: TlsInfo, log: Logger): PeerTls {
  const files = isEmpty(info) ? undefined : keyPairsOf(info).client;
  const authorities = info.trustedCaFile === '' ? undefined : authoritiesIn(info.trustedCaFile);
  let made: { readonly shown: KeyPair | undefined; readonly context: SecureContext } | undefined;
  const contextOf = (shown: KeyPair | undefined): SecureContextOptions => ({
    ...(files === undefined ? { minVersion: 'TLSv1.2' } : protocolOf(info)), ...shown, ...(authorities ?? (info.isSelfSigned ? {} : { ca: [...systemAuthorities()] })),
  });
  const optionsNow = (): ConnectionOptions => {
    let shown: KeyPair | undefined;
    try {
      shown = files?.read();
    } catch (error) {
      log.warn({ err: error, 'cert-file': files?.certFile, 'key-file': files?.keyFile }, 'failed to create client certificate');
      throw error;
    }
    if (made === undefined || made.shown !== shown) made = { shown, context: createSecureContext(contextOf(shown)) };
    return { secureContext: made.context, rejectUnauthorized: !info.isSelfSigned };
  };
  const namesCount = info.allowed.commonNames.length + info.allowed.hostnames.length > 0;
  return {
    connect: (options) => {
      const now = { ...options, ...optionsNow() };
      if (!namesCount) return connect({ ...now, checkServerIdentity: (host, { raw }) => errorOf(objectionToHost(new X509Certificate(raw), host)) });
      const { host = 'localhost', port = 443 } = options;
      const transport = connectTcp({ host, port, noDelay: true, keepAlive: true });
      const socket = connect({
        ...now, socket: transport,
        checkServerIdentity: (name, { raw }) => {
          const certificate = new X509Certificate(raw);
          const objection = objectionToHost(certificate, name) ?? objectionToNames(certificate, info.allowed);
          if (objection !== undefined) refuse();
          return errorOf(objection);
        },
      });
      const refuse = refusalOver(transport, socket);
      return socket;
    },
  };
}

const errorOf = (objection: string | undefined): Error | undefined => (objection === undefined ? undefined : new TlsError(objection));

/** In the words of Go's x509.HostnameError. */
export function objectionToHost(certificate: X509Certificate, host: string): string | undefined {
  if (isFor(certificate, host)) return undefined;
  const { addresses, dnsNames } = namesIn(certificate.subjectAltName);
  const prefix = 'tls: failed to verify certificate: x509:';
  if (isIP(host) !== 0) return addresses.length === 0 ? `${prefix} cannot validate certificate for ${host} because it doesn't contain any IP SANs` : `${prefix} certificate is valid for ${addresses.join(', ')}, not ${host}`;
  if (addresses.length + dnsNames.length === 0 && certificate.checkHost(host, { subject: 'always' }) !== undefined) return `${prefix} certificate relies on legacy Common Name field, use SANs instead`;
  return dnsNames.length === 0 ? `${prefix} certificate is not valid for any names, but wanted to match ${host}` : `${prefix} certificate is valid for ${dnsNames.join(', ')}, not ${host}`;
}
