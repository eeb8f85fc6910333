// Request bodies in Kubernetes' protobuf. Answers stay JSON, which every client takes.
import { badRequest } from '#lib/machinery/status-error.ts';
import type { BodyDecoder } from '../edge/extension.ts';
import { definitionOfKind } from '../openapi/json-schema.ts';
import { openEnvelope, parseMessages, ProtobufDecoder, ProtobufError } from './decode.ts';
import { MESSAGES } from './messages.ts';
import { WireError } from './wire.ts';

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
/** Kinds that belong to every group and version. */
const EVERYWHERE: ReadonlySet<string> = new Set(['DeleteOptions']);

export function protobufBodyDecoder(): BodyDecoder {
  let decoder: ProtobufDecoder | undefined;
  return {
    mediaType: 'application/vnd.kubernetes.protobuf',
    decode(bytes, expected) {
      decoder ??= new ProtobufDecoder(parseMessages(MESSAGES));
      try {
        const { apiVersion, kind, raw } = openEnvelope(bytes);
        const definition = EVERYWHERE.has(kind) ? `${META}.${kind}` : definitionOfKind(`${apiVersion}/${kind}`) ?? expected?.schema ?? '';
        if (!decoder.knows(definition)) throw badRequest(`no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(apiVersion)}`);
        return { apiVersion, kind, ...decoder.decode(definition, raw) };
      } catch (error) {
        if (error instanceof ProtobufError || error instanceof WireError) throw badRequest(`unable to decode the protobuf body: ${error.message}`);
        throw error;
      }
    },
  };
}
