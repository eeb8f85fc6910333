// What is wrong with how TLS is set up, or with who speaks it, in the words of Go and etcd.

export class TlsError extends Error {
  override readonly name = 'TlsError';
}

/** OpenSSL's alerts from the other side, as Go calls them. Source: Go, crypto/tls/alert.go. */
const ALERTS: Readonly<Record<string, string>> = {
  'bad certificate': 'bad certificate', 'unsupported certificate': 'unsupported certificate', 'certificate revoked': 'revoked certificate', 'certificate expired': 'expired certificate',
  'certificate unknown': 'unknown certificate', 'unknown ca': 'unknown certificate authority', 'access denied': 'access denied', 'decrypt error': 'error decrypting message', 'protocol version': 'protocol version not supported',
  'handshake failure': 'handshake failure', 'insufficient security': 'insufficient security level', 'internal error': 'internal error', 'certificate required': 'certificate required',
  'no application protocol': 'no application protocol', 'unexpected message': 'unexpected message', 'bad record mac': 'bad record MAC', 'decode error': 'error decoding message', 'illegal parameter': 'illegal parameter',
};

/** Results of verifying a certificate, as node:tls names them. Source: Go, crypto/x509/verify.go. */
const VERDICTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'x509: certificate has expired or is not yet valid', CERT_NOT_YET_VALID: 'x509: certificate has expired or is not yet valid',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'x509: certificate signed by unknown authority', SELF_SIGNED_CERT_IN_CHAIN: 'x509: certificate signed by unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'x509: certificate signed by unknown authority', UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'x509: certificate signed by unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'x509: certificate signed by unknown authority', CERT_SIGNATURE_FAILURE: 'x509: certificate signed by unknown authority',
  INVALID_PURPOSE: 'x509: certificate specifies an incompatible key usage', CERT_UNTRUSTED: 'x509: certificate signed by unknown authority',
};

const REASONS: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'tls: client didn\'t provide a certificate', ERR_SSL_HTTP_REQUEST: 'tls: first record does not look like a TLS handshake',
  ERR_SSL_WRONG_VERSION_NUMBER: 'tls: first record does not look like a TLS handshake', ERR_SSL_PACKET_LENGTH_TOO_LONG: 'tls: first record does not look like a TLS handshake',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'tls: client offered only unsupported versions', ERR_SSL_NO_SHARED_CIPHER: 'tls: no cipher suite supported by both client and server',
};

/** Why a handshake failed. `verdict`: of node:tls on the certificate of the other side. */
export function inGoWords(error: Error & { readonly code?: string; readonly reason?: string }, verdict?: string | null): string {
  if (verdict) return `tls: failed to verify certificate: ${VERDICTS[verdict] ?? verdict}`;
  const { code = '', message } = error;
  const alert = /alert ([a-z ]+?)(?::|$)/.exec(error.reason ?? message)?.[1]?.trim();
  if (alert !== undefined && ALERTS[alert] !== undefined) return `remote error: tls: ${ALERTS[alert]}`;
  if (code === 'ECONNRESET' && message !== 'read ECONNRESET') return 'EOF'; // node:tls: it ended before the handshake did
  const verified = VERDICTS[code];
  return verified === undefined ? REASONS[code] ?? message : `tls: failed to verify certificate: ${verified}`;
}

/** As Go's os.PathError. */
export function fileError(path: string, error: unknown): TlsError {
  const { code, message } = error as NodeJS.ErrnoException;
  const why = code === 'ENOENT' ? 'no such file or directory' : code === 'EACCES' ? 'permission denied' : code === 'EISDIR' ? 'is a directory' : message;
  return new TlsError(`open ${path}: ${why}`, { cause: error });
}
