// A client of pods and services that never stops asking.
import { spawn, type ChildProcess } from 'node:child_process';
import { KUBREAK, type TestCluster } from './cluster.ts';

/** Asks the given addresses from a host, over and over; each line is an address and an HTTP status. */
export class Traffic {
  readonly #child: ChildProcess;
  #lines: string[] = [];

  constructor({ folder }: TestCluster, host: string, addresses: readonly string[]) {
    const script = `while :; do for a in ${addresses.join(' ')}; do echo "$a $(curl -s -m 5 -o /dev/null -w '%{http_code}' http://$a/)"; done; sleep 0.1; done`;
    this.#child = spawn(process.execPath, [KUBREAK, '--dir', folder, 'exec', host, '--', 'sh', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    let rest = '';
    this.#child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      this.#lines.push(...lines);
    });
  }
  /** What was seen since the last call. */
  take(): { total: number; failed: string[] } {
    const lines = this.#lines;
    this.#lines = [];
    return { total: lines.length, failed: lines.filter((line) => !line.endsWith(' 200')) };
  }
  stop(): void {
    if (this.#child.pid !== undefined) process.kill(-this.#child.pid, 'SIGKILL');
  }
}
