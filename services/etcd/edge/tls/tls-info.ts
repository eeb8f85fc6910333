// What flags say about TLS, for clients and for peers. Source: etcd v3.6, client/pkg/transport/listener.go (TLSInfo).
import type { SecureContextOptions, SecureVersion } from 'node:tls';
import { checkAllowedNames, type AllowedNames } from './allowed-names.ts';
import { KeyPairFiles, readOrThrow } from './key-pair.ts';
import { TlsError } from './tls-error.ts';

export interface TlsInfo {
  readonly certFile: string;
  readonly keyFile: string;
  /** Shown to servers in place of the other one; '' when it is that. */
  readonly clientCertFile: string;
  readonly clientKeyFile: string;
  readonly trustedCaFile: string;
  readonly clientCertAuth: boolean;
  readonly crlFile: string;
  readonly allowed: AllowedNames;
  readonly skipsClientSanVerification: boolean;
  /** Made by this member: nobody vouches for those of the others either. */
  readonly isSelfSigned: boolean;
  /** For node:tls; undefined: its default. */
  readonly ciphers: string | undefined;
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
}

/** There is no certificate. */
export const isEmpty = ({ certFile, keyFile }: TlsInfo): boolean => certFile === '' && keyFile === '';

/** As etcd logs it. */
export const describe = (info: TlsInfo): string =>
  `cert = ${info.certFile}, key = ${info.keyFile}, client-cert=${info.clientCertFile}, client-key=${info.clientKeyFile}, trusted-ca = ${info.trustedCaFile}, client-cert-auth = ${info.clientCertAuth}, crl-file = ${info.crlFile}`;

/** Throws TlsError when the files are not there, do not go together, or the flags do not. */
export function keyPairsOf({ certFile, keyFile, clientCertFile, clientKeyFile, allowed }: TlsInfo): { readonly server: KeyPairFiles; readonly client: KeyPairFiles } {
  if (certFile === '' || keyFile === '') throw new TlsError(`KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`);
  const server = new KeyPairFiles(certFile, keyFile);
  server.read();
  if ((clientCertFile === '') !== (clientKeyFile === '')) throw new TlsError(`ClientKeyFile and ClientCertFile must both be present or both absent: key: ${clientKeyFile}, cert: ${clientCertFile}]`);
  const client = clientCertFile === '' ? server : new KeyPairFiles(clientCertFile, clientKeyFile);
  client.read();
  checkAllowedNames(allowed);
  return { server, client };
}

/** What connections of either side have in common. */
export const protocolOf = ({ minVersion, maxVersion, ciphers }: TlsInfo): SecureContextOptions => ({ minVersion, maxVersion, ...(ciphers === undefined ? {} : { ciphers }) });

/** Whatever is in the file is trusted, be it signed by another authority, as in Go. Throws TlsError. */
export const authoritiesIn = (caFile: string): SecureContextOptions => ({ ca: readOrThrow(caFile), allowPartialTrustChain: true });
