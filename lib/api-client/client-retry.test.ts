// A server that asks to come again is asked again; one that does not is not.
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { configMapKind } from '#lib/kinds/core/config-map.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { connectToApiserver } from './client.ts';
import type { TransportRequest, TransportResponse } from './transport.ts';

function serverThatAnswers(...answers: { readonly code: number; readonly retryAfter?: string }[]) {
  const sent: string[] = [];
  const transport = {
    bytesRead: 0,
    drop: () => undefined,
    async send({ method, path }: TransportRequest): Promise<TransportResponse> {
      sent.push(`${method} ${path}`);
      const { code, retryAfter } = answers[Math.min(sent.length, answers.length) - 1] ?? { code: 200 };
      const body = code < 300 ? { metadata: { name: 'a', namespace: 'default' } } : { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', code, reason: 'X', message: 'x' };
      return { statusCode: code, headers: { 'content-type': 'application/json', ...(retryAfter === undefined ? {} : { 'retry-after': retryAfter }) }, body: Readable.from([Buffer.from(JSON.stringify(body))]) };
    },
    close: async () => undefined,
  };
  return { api: connectToApiserver({ server: 'https://192.0.2.1:6443' }, 'test', transport), sent };
}

test('429 and 5xx with Retry-After are sent again, writes too', async () => {
  const { api, sent } = serverThatAnswers({ code: 429, retryAfter: '0' }, { code: 503, retryAfter: '0' }, { code: 201 });
  await api.create(configMapKind, { metadata: { name: 'a', namespace: 'default' } });
  assert.equal(sent.length, 3);
});

test('it is not asked for ever', async () => {
  const { api, sent } = serverThatAnswers({ code: 429, retryAfter: '0' });
  await assert.rejects(api.get(configMapKind, 'default', 'a'), (error: unknown) => error instanceof StatusError && error.code === 429);
  assert.equal(sent.length, 11);
});

test('without Retry-After the caller is told at once', async () => {
  for (const code of [409, 429, 500, 503]) {
    const { api, sent } = serverThatAnswers({ code });
    await assert.rejects(api.get(configMapKind, 'default', 'a'), (error: unknown) => error instanceof StatusError && error.code === code);
    assert.equal(sent.length, 1);
  }
});
