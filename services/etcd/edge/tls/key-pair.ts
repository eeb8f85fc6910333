// A certificate and its key in files, which may be replaced at any time: who opens a connection reads them anew, so that
// certificates are rotated without a restart. Source: etcd v3.6, client/pkg/transport/listener.go (GetCertificate).
import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileError, TlsError } from './tls-error.ts';

export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export class KeyPairFiles {
  readonly certFile: string;
  readonly keyFile: string;
  private last: KeyPair | undefined;

  constructor(certFile: string, keyFile: string) {
    this.certFile = certFile;
    this.keyFile = keyFile;
  }

  /** The same object while the files say the same. Throws TlsError. At once, as a connection that just came cannot wait: two small files, next to a handshake. */
  read(): KeyPair {
    const [cert, key] = [readOrThrow(this.certFile), readOrThrow(this.keyFile)];
    if (this.last !== undefined && this.last.cert.equals(cert) && this.last.key.equals(key)) return this.last;
    checkKeyPair(cert, key);
    return (this.last = { cert, key });
  }
}

/** Throws TlsError. */
export function readOrThrow(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw fileError(path, error);
  }
}

/** Throws TlsError, with the words of Go's tls.X509KeyPair. */
function checkKeyPair(cert: Buffer, key: Buffer): void {
  if (!cert.includes('-----BEGIN CERTIFICATE-----')) throw new TlsError(`tls: failed to find ${cert.includes('-----BEGIN ') ? '"CERTIFICATE" PEM block' : 'any PEM data'} in certificate input`);
  if (!/-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----/.test(key.toString('latin1'))) throw new TlsError('tls: failed to find any PEM data in key input');
  const certificate = parsed('x509: malformed certificate', () => new X509Certificate(cert));
  const privateKey: KeyObject = parsed('tls: failed to parse private key', () => createPrivateKey(key));
  if (certificate.publicKey.asymmetricKeyType !== privateKey.asymmetricKeyType) throw new TlsError('tls: private key type does not match public key type');
  if (!certificate.checkPrivateKey(privateKey)) throw new TlsError('tls: private key does not match public key');
}

function parsed<T>(objection: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new TlsError(objection, { cause: error });
  }
}
