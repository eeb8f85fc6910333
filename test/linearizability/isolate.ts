// Runs a program of this folder in network, mount and process namespaces of its own: when it ends, whatever way, nothing is left.
import { spawn } from 'node:child_process';

/** Resolves with the exit code; output goes line by line to `onLine`. */
export function runIsolated(file: string, args: readonly string[], onLine: (line: string) => void): Promise<number> {
  const script = 'mount -t tmpfs tmpfs /run && mkdir /run/netns && exec "$@"';
  const child = spawn('unshare', ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script, 'sh', process.execPath, '--import', 'tsx', file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const output of [child.stdout, child.stderr]) {
    let rest = '';
    output.on('data', (text: Buffer) => {
      const lines = (rest + text.toString()).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(onLine);
    });
  }
  const stop = (): void => void child.kill('SIGKILL');
  process.once('SIGINT', stop).once('SIGTERM', stop);
  return new Promise((resolve) => child.once('close', (code) => {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    resolve(code ?? 1);
  }));
}
