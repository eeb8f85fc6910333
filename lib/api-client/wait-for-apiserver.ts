// Waiting for the API server before the first try for the lease: a failed try costs seconds, a look only milliseconds.
// Source of the idea: WaitForAPIServer in k8s.io/controller-manager/app.
import { connect } from 'node:net';
import type { Clock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { TransportError, type ApiClient } from './client.ts';

const POLL_MS = 100;
/** A server that answers, but never that it is ready, is taken as it is. */
const UNREADY_PATIENCE_MS = 10_000;

const CONNECT_TIMEOUT_MS = 1_000;

/** Whether a connection to the server can be made: where nobody listens, this costs a tenth of what a refused request does. */
export function isListening(server: string): Promise<boolean> {
  const { protocol, hostname, port } = new URL(server);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? (protocol === 'http:' ? 80 : 443) : Number(port), timeout: CONNECT_TIMEOUT_MS });
    const settle = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.once('connect', () => settle(true)).once('timeout', () => settle(false)).once('error', () => settle(false));
  });
}

/** Resolves when a connection can be made, or the signal aborts: with whether there was anything to wait for. */
export async function untilListening(server: string, clock: Clock, signal: AbortSignal): Promise<boolean> {
  let hasWaited = false;
  while (!signal.aborted && !(await isListening(server))) {
    hasWaited = true;
    await clock.sleep(POLL_MS, signal).catch(() => undefined);
  }
  return hasWaited;
}

export async function waitForApiserver(api: ApiClient, clock: Clock, signal: AbortSignal): Promise<void> {
  let answeringSinceMs: number | undefined;
  while (!signal.aborted) {
    if (await untilListening(api.server, clock, signal)) answeringSinceMs = undefined;
    if (signal.aborted) return;
    try {
      await api.request('GET', '/readyz', undefined, { signal });
      return;
    } catch (error) {
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      if (error instanceof TransportError) answeringSinceMs = undefined;
      else answeringSinceMs ??= clock.nowMs();
    }
    if (answeringSinceMs !== undefined && clock.nowMs() - answeringSinceMs > UNREADY_PATIENCE_MS) return;
    await clock.sleep(POLL_MS, signal).catch(() => undefined);
  }
}
