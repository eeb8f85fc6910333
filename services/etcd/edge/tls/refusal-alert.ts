// Tells a server why it was refused. node:tls looks at names in certificates when the handshake is over on its side, and can only hang
// up then: what it has to say last is not sent yet, and the other member would log an end without a reason, where with etcd it reads
// `remote error: tls: bad certificate`. So the one record that says so is made here, with the key of the handshake, as Go does it.
// TLS 1.3 only, which members speak with each other; with an older version the connection just ends.
// Source: RFC 8446 §5.2 (records), §5.3 (nonces), §6.2 (alerts), §7.1 and §7.3 (keys).
import { createCipheriv, createHmac, type CipherGCMTypes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

const FATAL = 2;
const BAD_CERTIFICATE = 42;
const ALERT = 21;
const APPLICATION_DATA = 23;
const TAG_BYTES = 16;
const NONCE_BYTES = 12;

interface Suite {
  readonly algorithm: CipherGCMTypes | 'chacha20-poly1305';
  readonly hash: 'sha256' | 'sha384';
  readonly keyBytes: number;
}

const SUITES: Readonly<Record<string, Suite>> = {
  TLS_AES_128_GCM_SHA256: { algorithm: 'aes-128-gcm', hash: 'sha256', keyBytes: 16 },
  TLS_AES_256_GCM_SHA384: { algorithm: 'aes-256-gcm', hash: 'sha384', keyBytes: 32 },
  TLS_CHACHA20_POLY1305_SHA256: { algorithm: 'chacha20-poly1305', hash: 'sha256', keyBytes: 32 },
};

/** HKDF-Expand-Label without a context; not more bytes than the hash has. */
function expandLabel(hash: string, secret: Buffer, label: string, bytes: number): Buffer {
  const name = Buffer.from(`tls13 ${label}`);
  return createHmac(hash, secret).update(Buffer.concat([Buffer.from([0, bytes, name.length]), name, Buffer.from([0, 1])])).digest().subarray(0, bytes);
}

/** The first record under a traffic secret; undefined: not of TLS 1.3. */
function alertRecord(suiteName: string, secret: Buffer, description: number): Buffer | undefined {
  const suite = SUITES[suiteName];
  if (suite === undefined) return undefined;
  const plain = Buffer.from([FATAL, description, ALERT]);
  const header = Buffer.from([APPLICATION_DATA, 3, 3, 0, plain.length + TAG_BYTES]);
  const [key, nonce] = [expandLabel(suite.hash, secret, 'key', suite.keyBytes), expandLabel(suite.hash, secret, 'iv', NONCE_BYTES)];
  const cipher = createCipheriv(suite.algorithm as CipherGCMTypes, key, nonce, { authTagLength: TAG_BYTES }).setAAD(header);
  return Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/**
 * Returns what tells the server that its certificate is refused; to be called from checkServerIdentity, before anything else is sent,
 * and followed by the end of the connection. `transport` is what the client speaks TLS over.
 */
export function refusalOver(transport: Socket, client: TLSSocket): () => void {
  let secret: Buffer | undefined;
  client.on('keylog', (line: Buffer) => {
    const [label, , hex = ''] = line.toString('latin1').trim().split(' ');
    if (label === 'CLIENT_HANDSHAKE_TRAFFIC_SECRET') secret = Buffer.from(hex, 'hex');
  });
  return () => {
    const record = secret === undefined ? undefined : alertRecord(client.getCipher().name, secret, BAD_CERTIFICATE);
    if (record !== undefined && !transport.destroyed) transport.write(record);
  };
}
