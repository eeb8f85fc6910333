// What the log tells of requests that took long, and of those that could not be applied. Values and passwords are not told, keys are.
// Source: etcd v3.6, server/etcdserver/txn/util.go, server/etcdserver/api/v3rpc/interceptor.go, api/etcdserverpb/raft_internal_stringer.go.
import { etcdError, type EtcdErrorReason } from '#lib/etcd-api/errors.ts';
import { internalRaftRequest } from '#lib/etcd-api/internal-raft-request.ts';
import { protoNamesOf } from '#lib/etcd-api/json.ts';
import {
  alarmResponse, deleteRangeRequest, putResponse, deleteRangeResponse, leaseGrantResponse, rangeRequest, rangeResponse, requestOp, txnResponse,
  type Compare, type DeleteRangeRequest, type DeleteRangeResponse, type PutRequest, type RangeRequest, type RangeResponse, type RequestOp, type ResponseHeader, type TxnRequest, type TxnResponse,
} from '#lib/etcd-api/messages.ts';
import { isDefault, type FieldKind, type Message } from '#lib/etcd-api/wire.ts';
import type { CallContext as GrpcCall } from '#lib/grpc/call.ts';
import type { LogCommand } from '../core/log-command.ts';
import type { Applied, CommandType } from '../core/store.ts';
import { isReadOnly } from '../core/txn.ts';
import { EncodedRange } from './encoded-range.ts';
import { goDuration, goTime } from './go-text.ts';

type AnyMessage = Message<unknown, never>;
type Fields = Readonly<Record<string, unknown>>;

// Calls

export interface FinishedCall {
  readonly call: Pick<GrpcCall, 'path' | 'peer' | 'requestBytes'>;
  readonly request: unknown;
  /** undefined when it was refused. */
  readonly response: unknown;
  readonly tookMs: number;
}

/** `nowMs`: since 1970. */
export function statsOf({ call, request, response, tookMs }: FinishedCall, nowMs: number): Fields {
  const { requestCount, requestSize, responseCount, responseSize, content } = countsOf(call, request, response);
  return {
    'start time': goTime(nowMs - tookMs), 'time spent': goDuration(tookMs), remote: call.peer.address || 'No remote client info.', 'response type': call.path,
    'request count': requestCount, 'request size': requestSize, 'response count': responseCount, 'response size': responseSize, 'request content': content,
  };
}

function countsOf({ path, requestBytes }: FinishedCall['call'], request: unknown, response: unknown): { requestCount: number; requestSize: number; responseCount: number; responseSize: number; content: string } {
  const isAnswered = response !== undefined;
  switch (path) {
    case '/etcdserverpb.KV/Range': return {
      requestCount: 0, requestSize: requestBytes, responseCount: isAnswered ? (response as RangeResponse | EncodedRange).count : 0,
      responseSize: isAnswered ? sizeOf(rangeResponse, response) : 0, content: textOf(rangeRequest, request),
    };
    case '/etcdserverpb.KV/Put': return {
      requestCount: 1, requestSize: requestBytes, responseCount: 0, responseSize: isAnswered ? sizeOf(putResponse, response) : 0, content: putText(request as PutRequest),
    };
    case '/etcdserverpb.KV/DeleteRange': return {
      requestCount: 0, requestSize: requestBytes, responseCount: isAnswered ? (response as DeleteRangeResponse).deleted : 0,
      responseSize: isAnswered ? sizeOf(deleteRangeResponse, response) : 0, content: textOf(deleteRangeRequest, request),
    };
    case '/etcdserverpb.KV/Txn': {
      if (!isAnswered) return { requestCount: 0, requestSize: 0, responseCount: 0, responseSize: 0, content: '' };
      const txn = request as TxnRequest;
      const operations = (response as TxnResponse).succeeded ? txn.success : txn.failure;
      return {
        requestCount: operations.length, requestSize: operations.reduce((size, operation) => size + requestOp.encode(operation).length, 0),
        responseCount: 0, responseSize: sizeOf(txnResponse, response), content: txnText(txn),
      };
    }
    default: return { requestCount: -1, requestSize: -1, responseCount: -1, responseSize: -1, content: '' };
  }
}

/** Of reads, which are not applied; undefined for everything else. */
export function slowReadOf({ call, request, response, tookMs }: FinishedCall, expectedMs: number, error?: Error): Fields | undefined {
  const read = { took: goDuration(tookMs), 'expected-duration': goDuration(expectedMs) };
  const failure = error === undefined ? {} : { error: inner(error.message) };
  if (call.path === '/etcdserverpb.KV/Range') {
    const text = response === undefined ? '' : `range_response_count:${kvCount(response as RangeResponse | EncodedRange)} size:${innerSizeOf(rangeResponse, response)}`;
    return { ...read, prefix: 'read-only range ', request: textOf(rangeRequest, request), response: text, ...failure };
  }
  if (call.path === '/etcdserverpb.KV/Txn' && isReadOnly(request as TxnRequest)) {
    const answers = response === undefined ? [] : (response as TxnResponse).responses.map(({ responseRange }) => (responseRange === undefined ? 'range_response:nil' : `range_response_count:${responseRange.kvs.length}`));
    const text = response === undefined ? '' : `responses:<${answers.join(' ')}> size:${innerSizeOf(txnResponse, response)}`;
    return { ...read, prefix: 'read-only txn ', request: txnText(request as TxnRequest), response: text, ...failure };
  }
  return undefined;
}

const kvCount = (response: RangeResponse | EncodedRange): number => (response instanceof EncodedRange ? response.kvCount : response.kvs.length);
const sizeOf = (type: unknown, response: unknown): number => (response instanceof EncodedRange ? response.bytes.length : (type as Message<unknown, unknown>).encode(response).length);

/** Where etcd measures, nobody has said yet who answers. */
function innerSizeOf(type: unknown, response: unknown): number {
  const { header } = response as { header?: ResponseHeader };
  const added = header === undefined ? 0 : responseHeaderSize(header) - responseHeaderSize({ ...header, clusterId: 0n, memberId: 0n, raftTerm: 0 });
  return sizeOf(type, response) - added;
}
const responseHeaderSize = (header: ResponseHeader): number => putResponse.encode({ header }).length;

// Commands

const RESPONSES: Partial<Record<LogCommand['type'], unknown>> = { put: putResponse, deleteRange: deleteRangeResponse, txn: txnResponse, leaseGrant: leaseGrantResponse, alarm: alarmResponse };

export interface AppliedCommand {
  readonly id: bigint;
  readonly command: LogCommand;
  readonly result: Applied<CommandType>['result'];
  readonly tookMs: number;
}

/** Of 'apply request took too long'. */
export const slowApplyOf = (applied: AppliedCommand, expectedMs: number): Fields =>
  ({ took: goDuration(applied.tookMs), 'expected-duration': goDuration(expectedMs), prefix: '', ...outcomeOf(applied) });

/** Of 'failed to apply request'. */
export const failedApplyOf = (applied: AppliedCommand): Fields => ({ took: goDuration(applied.tookMs), ...outcomeOf(applied) });

function outcomeOf({ id, command, result }: AppliedCommand): Fields {
  const request = commandText(command, id);
  if ('refused' in result) return { request, response: '', error: inner(etcdError(result.refused).message) };
  return { request, response: `size:${innerSizeOf(RESPONSES[command.type] ?? putResponse, result.response)}` };
}

/** A compaction that comes too late is nothing to be told. */
export const isFailure = (result: Applied<CommandType>['result']): boolean => 'refused' in result && result.refused !== 'Compacted' satisfies EtcdErrorReason;

const INNER_WORDS: Readonly<Record<string, string>> = { 'requested lease not found': 'lease not found' };

/** Inside etcd errors are not yet those that its clients see. */
function inner(message: string): string {
  const words = message.replace(/^etcdserver: /, '');
  return INNER_WORDS[words] ?? words;
}

/** As pb.InternalRaftStringer. */
export function commandText(command: LogCommand, id: bigint): string {
  const { username = '', authRevision = 0 } = ('by' in command ? command.by : undefined) ?? {};
  const header = `ID:${id} ${username === '' ? '' : `username:${quoted(username)} `}${authRevision === 0 ? '' : `auth_revision:${authRevision} `}`;
  switch (command.type) {
    case 'put': return `header:<${header}> put:<${putText(command.request)}>`;
    case 'txn': return `header:<${header}> txn:<${txnText(command.request)}>`;
    case 'leaseGrant': return `header:<${header}> lease_grant:<ttl:${command.request.TTL}-second id:${leaseId(command.request.ID)}>`;
    case 'leaseRevoke': return `header:<${header}> lease_revoke:<id:${leaseId(command.request.ID)}>`;
    case 'authenticate': return `header:<${header}> authenticate:<name:${command.request.name} simple_token:${command.request.simpleToken}>`;
    case 'authUserAdd': return `header:<${header}> auth_user_add:<name:${command.request.name}>`;
    case 'authUserChangePassword': return `header:<${header}> auth_user_change_password:<name:${command.request.name}>`;
    default: {
      const field = command.type === 'compact' ? 'compaction' : command.type;
      const kind = internalRaftRequest.fields.find(([name]) => name === field)?.[1].kind;
      const text = kind?.type === 'message' ? textOf(kind.message(), command.request) : '';
      return `header:<${header}> ${snake(field)}:<${text}> `;
    }
  }
}

const leaseId = (id: bigint): string => BigInt.asUintN(64, id).toString(16).padStart(16, '0');

const putText = ({ key, value, lease, prevKv, ignoreValue, ignoreLease }: PutRequest): string => [
  key.length > 0 && `key:${quoted(key)} `, value.length > 0 && `value_size:${value.length} `, lease !== 0n && `lease:${lease} `, prevKv && 'prev_kv:true ', ignoreValue && 'ignore_value:true ', ignoreLease && 'ignore_lease:true ',
].filter((part) => part !== false).join('');

function txnText({ compare, success, failure }: TxnRequest): string {
  return `compare:<${compare.map(compareText).join(' ')}> success:<${success.map(operationText).join(' ')}> failure:<${failure.map(operationText).join(' ')}>`;
}

function compareText({ result, target, key, rangeEnd, version, createRevision, modRevision, value, lease }: Compare): string {
  const union = { VERSION: `version:${version} `, CREATE: `create_revision:${createRevision} `, MOD: `mod_revision:${modRevision} `, VALUE: value.length === 0 ? '' : `value_size:${value.length} `, LEASE: `lease:${lease} `, UNRECOGNIZED: '' }[target];
  return `${result === 'EQUAL' ? '' : `result:${result} `}${target === 'VERSION' ? '' : `target:${target} `}${key.length === 0 ? '' : `key:${quoted(key)} `}${union}${rangeEnd.length === 0 ? '' : `range_end:${quoted(rangeEnd)} `}`;
}

function operationText({ requestRange, requestPut, requestDeleteRange, requestTxn }: RequestOp): string {
  if (requestPut !== undefined) return `request_put:<${putText(requestPut)}>`;
  if (requestTxn !== undefined) return `request_txn:<${txnText(requestTxn)}>`;
  if (requestRange !== undefined) return `request_range:<${textOf(rangeRequest, requestRange satisfies RangeRequest)}> `;
  return requestDeleteRange === undefined ? '' : `request_delete_range:<${textOf(deleteRangeRequest, requestDeleteRange satisfies DeleteRangeRequest)}> `;
}

// Text

/** What only the log has. */
const OTHER_NAMES: Readonly<Record<string, string>> = { remainingTTL: 'remaining_TTL' };

/** As proto.CompactTextString of gogo/protobuf. */
function textOf(type: unknown, value: unknown): string {
  const message = type as AnyMessage;
  const names = protoNamesOf(message);
  let text = '';
  for (const [name, { kind, isRepeated }] of message.fields) {
    const field = (value as Fields)[name];
    if (field === undefined) continue;
    const protoName = OTHER_NAMES[name] ?? names.get(name) ?? name;
    for (const item of isRepeated ? field as unknown[] : [field]) if (isRepeated || !isDefault(kind, item)) text += `${protoName}:${scalarText(kind, item)} `;
  }
  return text;
}

function scalarText(kind: FieldKind, value: unknown): string {
  if (kind.type === 'message') return `<${textOf(kind.message(), value)}>`;
  return kind.type === 'bytes' || kind.type === 'string' ? quoted(value as string | Uint8Array) : String(value);
}

const ESCAPES: Readonly<Record<number, string>> = { 9: '\\t', 10: '\\n', 13: '\\r', 34: '\\"', 92: '\\\\' };

function quoted(value: string | Uint8Array): string {
  let text = '"';
  for (const byte of typeof value === 'string' ? Buffer.from(value) : value) {
    text += ESCAPES[byte] ?? (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`);
  }
  return `${text}"`;
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
