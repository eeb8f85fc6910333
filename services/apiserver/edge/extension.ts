// How what is not generic plugs into the API server: create-only kinds, connecting subresources (exec, log, proxy),
// routes of their own, and body formats. The pipeline has authenticated, authorized and counted a request before any of
// these sees it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { User } from '../core/access.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import type { RequestInfo } from '../core/request-info.ts';

export interface ResourceCall {
  readonly info: RequestInfo;
  readonly user: User;
  readonly query: URLSearchParams;
  readonly objects: ObjectReader;
  /** Aborts when the client goes away or the server stops. */
  readonly signal: AbortSignal;
}

export interface BodyKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  /** Name of the definition in types.json. */
  readonly schema: string;
  /** Other versions of the group in which a body may come, of the same form. */
  readonly alsoVersions?: readonly string[];
}

/** Object in, object out: the pipeline decodes, checks the structure and encodes. Never stored. */
export interface ObjectHandler {
  readonly group: string;
  readonly resource: string;
  /** Empty: the resource itself. */
  readonly subresource: string;
  /** Verb as in RequestInfo: `create` for POST. */
  readonly verb: string;
  readonly body: BodyKind;
  readonly handle: (call: ResourceCall, object: KubernetesObject) => Promise<KubernetesObject>;
}

/** Speaks HTTP by itself: logs, exec, proxies. Errors thrown before anything was written become a Status. */
export interface ConnectHandler {
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  /** The request body has not been read. Resolves when the answer has been sent. */
  readonly handle: (call: ResourceCall, request: IncomingMessage, response: ServerResponse) => Promise<void>;
  /** `Connection: Upgrade`: nothing has been written to the socket yet, and nobody else reads from it. */
  readonly upgrade?: (call: ResourceCall, request: IncomingMessage, socket: Duplex, head: Buffer) => Promise<void>;
}

/** A kind whose objects are made up at every read; get and list only. */
export interface VirtualKind {
  readonly group: string;
  readonly resource: string;
  readonly list: (signal: AbortSignal) => Promise<readonly KubernetesObject[]>;
}

/** Turns bytes of one media type into the JSON object they stand for. Throws StatusError 400. */
export interface BodyDecoder {
  /** Without parameters: `application/vnd.kubernetes.protobuf`. */
  readonly mediaType: string;
  readonly decode: (bytes: Uint8Array, expected: BodyKind | undefined) => unknown;
}

export interface ApiserverExtension {
  readonly objectHandlers?: readonly ObjectHandler[];
  readonly connectHandlers?: readonly ConnectHandler[];
  readonly virtualKinds?: readonly VirtualKind[];
  readonly bodyDecoders?: readonly BodyDecoder[];
  /** Non-resource routes such as /openapi/v3; the parent's hooks authenticate and authorize them. */
  readonly routes?: (app: FastifyInstance) => void;
  /** The paths of those routes, for the index at `/`. */
  readonly paths?: readonly string[];
}
