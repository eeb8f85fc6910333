// Connections to backends (kubelets, pods, services): dialling with a deadline, and failures in Go's words.
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls';

/** Longest time for a connection to be made, its handshake included. Milliseconds. Source: Go's http.DefaultTransport. */
const DIAL_TIMEOUT_MS = 30_000;
/** A peer that has vanished is found out by probes after this much silence. Milliseconds. */
const KEEP_ALIVE_MS = 15_000;

export interface Backend {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  /** For https: the name in the server's certificate; default: the host. */
  readonly serverName?: string;
  /** For https: client certificate and whom to trust. */
  readonly secureContext?: SecureContext;
  /** False: whoever answers is believed, as upstream does for pods, and for kubelets without --kubelet-certificate-authority. */
  readonly verify?: boolean;
}

export class DialError extends Error {
  override readonly name = 'DialError';
}

export const hostPort = ({ host, port }: Pick<Backend, 'host' | 'port'>): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

/** The failure of a connection as Go's net package puts it: `dial tcp 10.0.0.1:80: connect: connection refused`. */
export function dialErrorText(backend: Pick<Backend, 'host' | 'port'>, error: unknown): string {
  const dial = `dial tcp ${hostPort(backend)}`;
  const { code, message } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ECONNREFUSED': return `${dial}: connect: connection refused`;
    case 'EHOSTUNREACH': return `${dial}: connect: no route to host`;
    case 'ENETUNREACH': return `${dial}: connect: network is unreachable`;
    case 'ECONNRESET': return `read tcp ${hostPort(backend)}: read: connection reset by peer`;
    case 'ETIMEDOUT': return `${dial}: i/o timeout`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN': return `dial tcp: lookup ${backend.host}: no such host`;
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY': return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    default: return error instanceof DialError ? message : `${dial}: ${message}`;
  }
}

/** Rejects with a DialError; `timeoutMs` for tests. */
export async function dial(backend: Backend, signal: AbortSignal, timeoutMs = DIAL_TIMEOUT_MS): Promise<Socket> {
  signal.throwIfAborted();
  const { host, port } = backend;
  const socket = backend.scheme === 'https'
    ? connectTls({
      host, port, rejectUnauthorized: backend.verify ?? false, ALPNProtocols: ['http/1.1'],
      ...(backend.serverName !== undefined ? { servername: backend.serverName } : isIP(host) ? {} : { servername: host }), ...(backend.secureContext ? { secureContext: backend.secureContext } : {}),
    })
    : connectTcp({ host, port });
  try {
    await new Promise<void>((resolve, reject) => {
      const abort = () => reject(signal.reason as Error);
      const timer = setTimeout(() => reject(new DialError(`dial tcp ${hostPort(backend)}: i/o timeout`)), timeoutMs);
      const settle = (then: () => void) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
        then();
      };
      signal.addEventListener('abort', abort, { once: true });
      socket.once(backend.scheme === 'https' ? 'secureConnect' : 'connect', () => settle(resolve));
      socket.once('error', (error) => settle(() => reject(new DialError(dialErrorText(backend, error), { cause: error }))));
      socket.once('close', () => settle(() => reject(new DialError(`dial tcp ${hostPort(backend)}: EOF`))));
    });
  } catch (error) {
    socket.on('error', () => undefined); // what comes after has been told already
    socket.destroy();
    throw error;
  }
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
}

export interface KubeletClientFiles {
  /** --kubelet-client-certificate and --kubelet-client-key; empty: none is shown. */
  readonly certPem: string;
  readonly keyPem: string;
  /** --kubelet-certificate-authority; empty: the kubelet's certificate is not checked, as kubeadm leaves it. */
  readonly caPem: string;
}

export function kubeletSecureContext({ certPem, keyPem, caPem }: KubeletClientFiles): SecureContext {
  return createSecureContext({ ...(certPem === '' ? {} : { cert: certPem, key: keyPem }), ...(caPem === '' ? {} : { ca: caPem }) });
}
