// Named places where tests make a member fail or wait, in gofail's words, so that what drives etcd's own test builds drives this one.
// Without GOFAIL_FAILPOINTS and GOFAIL_HTTP in its environment a member has none. Source: github.com/etcd-io/gofail, README and runtime.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { fdatasync, writeSync } from 'node:fs';
import { promisify } from 'node:util';

/** Those that etcd has, too, have its names. */
export const FAIL_POINTS = [
  'walBeforeWrite', 'walAfterWrite', 'walBeforeSync', 'walAfterSync', 'walBeforeCut', 'walAfterCut',
  'raftBeforeSave', 'raftAfterSave', 'raftBeforeSaveSnap', 'raftAfterSaveSnap', 'raftBeforeApplySnap', 'raftAfterApplySnap', 'raftAfterWALRelease',
  'raftBeforeAdvance', 'raftBeforeLeaderSend', 'raftBeforeFollowerSend', 'beforeApplyOneEntryNormal', 'beforeApplyOneConfChange',
  'beforeCommit', 'afterCommit', 'compactBeforeCommitBatch', 'compactAfterCommitBatch', 'compactBeforeSetFinishedCompact', 'compactAfterSetFinishedCompact', 'defragBeforeCopy', 'defragBeforeRename',
  'beforeSendWatchResponse', 'beforeCheckpointInLeaseRenew', 'applyBeforeOpenSnapshot', 'applyAfterOpenSnapshot',
] as const;
export type FailPoint = (typeof FAIL_POINTS)[number];
/** Where what `return("text")` says is the failure; every other term is as at the places above, `return` does nothing there. */
export const FAILURES = ['defragOpenFileError', 'defragdbFail'] as const;
type Failure = (typeof FAILURES)[number];
/** Settings that are no places: `walKeepUnsynced=return` holds what was not synced in memory, so that a kill loses what a power cut could. */
const SETTINGS = ['walKeepUnsynced'] as const;
type Name = FailPoint | Failure | (typeof SETTINGS)[number];
const NAMES: readonly string[] = [...FAIL_POINTS, ...FAILURES, ...SETTINGS];

type Action = { readonly type: 'off' | 'panic' } | { readonly type: 'return'; readonly text: string } | { readonly type: 'sleep'; readonly ms: number } | { readonly type: 'tear'; readonly chance: number };
/** What a disk writes as a whole or not at all. */
const SECTOR_BYTES = 512;

interface Term {
  readonly action: Action;
  readonly percent: number;
  /** How often it still acts. */
  left: number;
}

export class FailPointError extends Error {
  override readonly name = 'FailPointError';
}

/** `2*off->50%sleep(100)->panic`. Ours besides: `tear(30)` writes each sector of what is to be written with a chance of 30 %, and ends the process. */
export function parseTerms(text: string): Term[] {
  return text.split('->').map((term) => {
    const match = /^(?:(\d+)\*)?(?:(\d+(?:\.\d+)?)%)?(off|panic|return|sleep|tear)(?:\("?(\d+)(ms|s)?"?\)|\("?(.*?)"?\))?$/.exec(term.trim());
    if (match === null) throw new FailPointError(`failpoint: could not parse terms: ${term}`);
    const [, count, percent, type, amount, unit, value = amount] = match;
    return { action: actionOf(type as Action['type'], amount, unit, value), percent: percent === undefined ? 100 : Number(percent), left: count === undefined ? Infinity : Number(count) };
  });
}

function actionOf(type: Action['type'], amount = '0', unit?: string, text = ''): Action {
  switch (type) {
    case 'sleep': return { type, ms: Number(amount) * (unit === 's' ? 1000 : 1) };
    case 'tear': return { type, chance: Number(amount) / 100 };
    case 'return': return { type, text };
    case 'off': case 'panic': return { type };
  }
}

export class FailPoints {
  private readonly terms = new Map<string, { text: string; terms: Term[] }>();
  private readonly end: () => never;

  constructor(end: () => never) {
    this.end = end;
  }

  set(name: string, text: string): void {
    if (!NAMES.includes(name)) throw new FailPointError(`failpoint: failpoint does not exist: ${name}`);
    this.terms.set(name, { text, terms: parseTerms(text) });
  }
  unset(name: string): void {
    this.terms.delete(name);
  }
  list(): string[] {
    return NAMES.map((name) => `${name}=${this.terms.get(name)?.text ?? ''}`);
  }
  isSet(name: Name): boolean {
    return this.terms.has(name);
  }

  private next(name: Name): Action | undefined {
    for (const term of this.terms.get(name)?.terms ?? []) {
      if (term.left <= 0) continue;
      if (term.percent < 100 && Math.random() * 100 >= term.percent) continue;
      term.left -= 1;
      return term.action;
    }
    return undefined;
  }

  /** Where something is about to be written to `position`: `write` is given the parts of it that still reach the disk. */
  passWrite(name: Name, position: number, length: number, write: (start: number, end: number) => void): void {
    const action = this.next(name);
    for (let start = 0; action?.type === 'tear' && start < length;) {
      const end = Math.min(length, start + SECTOR_BYTES - (position + start) % SECTOR_BYTES);
      if (Math.random() < action.chance) write(start, end);
      start = end;
    }
    if (action?.type === 'tear' || action?.type === 'panic') this.end();
  }

  /** Rejects with what a `return` says at a place that may fail. */
  async pass(name: Name): Promise<void> {
    const action = this.next(name);
    if (action?.type === 'return' && (FAILURES as readonly string[]).includes(name)) throw new Error(action.text);
    if (action?.type === 'panic' || action?.type === 'tear') this.end();
    if (action?.type === 'sleep') await new Promise((resolve) => setTimeout(resolve, action.ms));
  }
}

let enabled: FailPoints | undefined;

/** Undefined but for a member under test: `await failPoint('x')` would cost a turn of the loop, so look first. */
export const failPoint = (name: FailPoint | Failure): Promise<void> | undefined => enabled?.pass(name);

export const hasFailPoints = (): boolean => enabled !== undefined;

/** Without a word, as a crash is. */
function die(): never {
  process.kill(process.pid, 'SIGKILL');
  throw new Error('ended by a fail point');
}

/** `GOFAIL_FAILPOINTS=name=terms;name=terms`, `GOFAIL_HTTP=host:port`. Resolves when the endpoint listens. */
export async function enableFailPoints(environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const { GOFAIL_FAILPOINTS: initial, GOFAIL_HTTP: address } = environment;
  if (initial === undefined && address === undefined) return;
  const points = new FailPoints(die);
  for (const entry of (initial ?? '').split(';').filter((text) => text !== '')) {
    const [name = '', ...terms] = entry.split('=');
    // As with gofail, which waits for somebody to have such a place.
    if (NAMES.includes(name)) points.set(name, terms.join('='));
    else process.stderr.write(`failpoint: failpoint does not exist: ${name}\n`);
  }
  enabled = points;
  if (address === undefined) return;
  const [, host = '127.0.0.1', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  const server = createServer((request, response) => void answer(points, request, response)).unref();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(Number(port), host, resolve));
}

const MAX_TERMS_BYTES = 4096;

async function answer(points: FailPoints, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const name = (request.url ?? '/').slice(1);
  const end = (code: number, text = ''): void => void response.writeHead(code).end(text);
  try {
    if (request.method === 'PUT') {
      let text = '';
      for await (const chunk of request) {
        text += String(chunk);
        if (text.length > MAX_TERMS_BYTES) return end(413);
      }
      points.set(name, text);
      return end(204);
    }
    if (request.method === 'DELETE') {
      points.unset(name);
      return end(204);
    }
    return end(200, `${points.list().filter((line) => name === '' || line.startsWith(`${name}=`)).join('\n')}\n`);
  } catch (error) {
    return end(400, error instanceof Error ? error.message : String(error));
  }
}

const sync = promisify(fdatasync);

/** How the write-ahead log's bytes reach the disk in a member under test; undefined otherwise. */
export function failingDisk(): { readonly append: (fd: number, bytes: Uint8Array, position: number) => Promise<void> } | undefined {
  if (enabled === undefined) return undefined;
  const points = enabled;
  const writeNow = (fd: number, bytes: Uint8Array, position: number): void => {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, bytes.length - at, position + at);
  };
  return {
    append: async (fd, bytes, position) => {
      if (bytes.every((byte) => byte === 0)) return writeNow(fd, bytes, position); // space set aside
      points.passWrite('walBeforeWrite', position, bytes.length, (start, end) => writeNow(fd, bytes.subarray(start, end), position + start));
      const keepsUnsynced = points.isSet('walKeepUnsynced');
      if (!keepsUnsynced) writeNow(fd, bytes, position);
      points.passWrite('walAfterWrite', position, 0, () => undefined);
      await points.pass('walBeforeSync');
      if (keepsUnsynced) writeNow(fd, bytes, position);
      await sync(fd);
      await points.pass('walAfterSync');
    },
  };
}
