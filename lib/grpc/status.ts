// gRPC's status codes, the error that carries one, and how both stand in trailers.
// Source: grpc.io/docs/guides/status-codes and PROTOCOL-HTTP2.md.

export const grpcStatus = {
  OK: 0, CANCELLED: 1, UNKNOWN: 2, INVALID_ARGUMENT: 3, DEADLINE_EXCEEDED: 4, NOT_FOUND: 5, ALREADY_EXISTS: 6, PERMISSION_DENIED: 7, RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9, ABORTED: 10, OUT_OF_RANGE: 11, UNIMPLEMENTED: 12, INTERNAL: 13, UNAVAILABLE: 14, DATA_LOSS: 15, UNAUTHENTICATED: 16,
} as const;

export type GrpcStatus = (typeof grpcStatus)[keyof typeof grpcStatus];

/** What a handler throws to end its call with a code and a text for the client. */
export class GrpcError extends Error {
  override readonly name: string = 'GrpcError';
  readonly code: GrpcStatus;

  constructor(code: GrpcStatus, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

const codeNames = Object.fromEntries(Object.entries(grpcStatus).map(([name, code]) => [code, name])) as Record<number, string>;
const goNames: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(codeNames).map(([code, name]) =>
  [code, name === 'OK' ? name : name === 'CANCELLED' ? 'Canceled' : name.toLowerCase().replace(/(^|_)([a-z])/g, (_, __, letter: string) => letter.toUpperCase())]));

/** `NotFound`, as Go and the metrics of gRPC servers write it. */
export const goNameOf = (code: number): string => goNames[code] ?? `Code(${code})`;

/** The text as grpc-message: UTF-8, with everything but printable ASCII, and the percent sign, as %XX. */
export function encodeGrpcMessage(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text)) encoded += byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  return encoded;
}
