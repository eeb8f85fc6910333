// The one call that CRI does not have: images out of an archive on this host. On the same socket; only `ctr` makes it.
import type { MethodDefinition } from '@grpc/grpc-js';

export interface ImportRequest {
  /** Of the archive, on this host. */
  readonly path: string;
  /** For an archive that names no image; else empty. */
  readonly name: string;
}

export interface ImportResponse {
  readonly images: readonly { readonly id: string; readonly tags: readonly string[] }[];
}

const write = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

export const importMethod: MethodDefinition<ImportRequest, ImportResponse> = {
  path: '/kubreak.images.v1.Images/Import', requestStream: false, responseStream: false,
  requestSerialize: write, responseSerialize: write,
  requestDeserialize: (bytes) => JSON.parse(bytes.toString('utf8')) as ImportRequest, responseDeserialize: (bytes) => JSON.parse(bytes.toString('utf8')) as ImportResponse,
};
