// A readiness check that waits a moment for the process to become ready before it says no: a probe that comes during the
// start would otherwise be followed by the next one only a whole period later.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const LOOK_AGAIN_MS = 20;

export interface ReadinessRouteOptions {
  /** Returns nothing when ready, else a short reason. */
  readonly check: () => string | undefined;
  /** Below the timeout of those who ask; milliseconds. */
  readonly holdMs: number;
  readonly ok: { readonly code: number; readonly text: string };
}

/** 503 with the reason when the check still fails after `holdMs`. */
export function readinessRoute({ check, holdMs, ok }: ReadinessRouteOptions): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (_request, response) => {
    const endMs = performance.now() + holdMs;
    let problem = check();
    while (problem !== undefined && performance.now() < endMs && !response.destroyed) {
      await sleep(LOOK_AGAIN_MS);
      problem = check();
    }
    response.writeHead(problem === undefined ? ok.code : 503).end(problem ?? ok.text);
  };
}
