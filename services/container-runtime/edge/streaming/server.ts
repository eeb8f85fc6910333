import type { Logger } from 'pino';
import type { Execs } from '../exec.ts';
import type { Runtime } from '../runtime.ts';
export interface StreamingServer { address: string; exec(r: object): string; attach(r: object): string; portForward(r: object): string; close(): Promise<void> }
export async function startStreamingServer(_: { host: string; runtime: Runtime; execs: Execs; log: Logger }): Promise<StreamingServer> {
  const notYet = (): never => { throw new Error('streaming is not served yet'); };
  return { address: '', exec: notYet, attach: notYet, portForward: notYet, close: async () => {} };
}
