// HTTP/2 on the wire: what frames are called and how small ones are made. Source: RFC 9113.

export const CLIENT_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
export const FRAME_HEADER_BYTES = 9;
/** The largest payload there may be unless the other side says that it takes more, which is not made use of. */
export const MAX_FRAME_BYTES = 16_384;
export const MAX_WINDOW = 2 ** 31 - 1;
/** Of a stream and of the connection, until told otherwise. */
export const DEFAULT_WINDOW = 65_535;

export const frameType = {
  DATA: 0, HEADERS: 1, PRIORITY: 2, RST_STREAM: 3, SETTINGS: 4, PUSH_PROMISE: 5, PING: 6, GOAWAY: 7, WINDOW_UPDATE: 8, CONTINUATION: 9,
} as const;

export const frameFlag = { ACK: 1, END_STREAM: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 0x20 } as const;

export const setting = { HEADER_TABLE_SIZE: 1, ENABLE_PUSH: 2, MAX_CONCURRENT_STREAMS: 3, INITIAL_WINDOW_SIZE: 4, MAX_FRAME_SIZE: 5, MAX_HEADER_LIST_SIZE: 6 } as const;

export const errorCode = {
  NO_ERROR: 0, PROTOCOL_ERROR: 1, INTERNAL_ERROR: 2, FLOW_CONTROL_ERROR: 3, STREAM_CLOSED: 5, FRAME_SIZE_ERROR: 6, REFUSED_STREAM: 7, CANCEL: 8,
  COMPRESSION_ERROR: 9, ENHANCE_YOUR_CALM: 11,
} as const;
export type ErrorCode = (typeof errorCode)[keyof typeof errorCode];

/** Writes the header of a frame at `at` and returns where its payload begins. */
export function writeFrameHeader(into: Buffer, at: number, type: number, flags: number, streamId: number, length: number): number {
  into[at] = length >>> 16;
  into[at + 1] = (length >>> 8) & 0xff;
  into[at + 2] = length & 0xff;
  into[at + 3] = type;
  into[at + 4] = flags;
  into[at + 5] = streamId >>> 24;
  into[at + 6] = (streamId >>> 16) & 0xff;
  into[at + 7] = (streamId >>> 8) & 0xff;
  into[at + 8] = streamId & 0xff;
  return at + FRAME_HEADER_BYTES;
}

export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
  bytes.set(payload, writeFrameHeader(bytes, 0, type, flags, streamId, payload.length));
  return bytes;
}

function frameOfInteger(type: number, streamId: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(FRAME_HEADER_BYTES + 4);
  bytes.writeUInt32BE(value, writeFrameHeader(bytes, 0, type, 0, streamId, 4));
  return bytes;
}
export const resetFrame = (streamId: number, code: ErrorCode): Buffer => frameOfInteger(frameType.RST_STREAM, streamId, code);
export const windowUpdateFrame = (streamId: number, increment: number): Buffer => frameOfInteger(frameType.WINDOW_UPDATE, streamId, increment);

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(6 * settings.length);
  settings.forEach(([id, value], index) => payload.writeUInt32BE(value, payload.writeUInt16BE(id, 6 * index)));
  return frame(frameType.SETTINGS, 0, 0, payload);
}

export function goAwayFrame(lastStreamId: number, code: ErrorCode, debug: string): Buffer {
  const text = Buffer.from(debug);
  const payload = Buffer.allocUnsafe(8 + text.length);
  payload.writeUInt32BE(lastStreamId, 0);
  payload.writeUInt32BE(code, 4);
  payload.set(text, 8);
  return frame(frameType.GOAWAY, 0, 0, payload);
}
