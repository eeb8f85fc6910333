// Who is at the other end of a connection.
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import type { PeerCertificate, TLSSocket } from 'node:tls';

export class Peer {
  private readonly socket: Duplex;
  private known: PeerCertificate | null | undefined;

  constructor(socket: Duplex) {
    this.socket = socket;
  }

  /** `127.0.0.1:50412`; empty for a unix socket. */
  get address(): string {
    const { remoteAddress, remotePort } = this.socket as Partial<Socket>;
    return remoteAddress === undefined ? '' : `${remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress}:${remotePort ?? 0}`;
  }

  /** What the client has shown in the TLS handshake; undefined for none. Whether it is to be trusted, the listener has seen to. */
  get certificate(): PeerCertificate | undefined {
    if (this.known === undefined) {
      const certificate = (this.socket as Partial<TLSSocket>).getPeerCertificate?.();
      this.known = certificate === undefined || certificate.subject === undefined ? null : certificate;
    }
    return this.known ?? undefined;
  }
}
