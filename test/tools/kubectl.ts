// The kubectl of Debian (1.20) and a current one, for tests that run the same on both. What is not on the machine is fetched:
// the old one as Debian's package, the current one built from its published Go module. What cannot be had is said, and fails.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Kubectl {
  readonly path: string;
  /** Minor version of 1.x. */
  readonly minor: number;
}

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/kubreak', import.meta.url));
const OLDEST_CURRENT_MINOR = 30;
/** The module that the current one is built from. */
const MODULE = 'k8s.io/kubectl@v0.33.4';
const BUILD_TIMEOUT_MS = 600_000;

function minorOf(path: string): number | undefined {
  const { stdout, status } = spawnSync(path, ['version', '--client', '-o', 'json'], { encoding: 'utf8', timeout: 20_000 });
  const minor = status === 0 ? Number.parseInt((JSON.parse(stdout) as { clientVersion?: { minor?: string } }).clientVersion?.minor ?? '', 10) : NaN;
  return Number.isNaN(minor) ? undefined : minor;
}

function onPath(): string[] {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/lib/google-cloud-sdk/bin'].filter((folder) => existsSync(folder));
  return folders.flatMap((folder) => readdirSync(folder).filter((name) => /^kubectl(\.1\.\d+)?$/.test(name)).map((name) => join(folder, name)));
}

const known = (paths: readonly string[]): Kubectl[] => paths.flatMap((path) => {
  const minor = existsSync(path) ? minorOf(path) : undefined;
  return minor === undefined ? [] : [{ path, minor }];
});

/** Debian 12's package, unpacked beside nothing else of the system. */
function fetchOld(): Kubectl | undefined {
  const folder = join(CACHE, 'kubectl-debian');
  const path = join(folder, 'usr/bin/kubectl');
  if (!existsSync(path)) {
    process.stdout.write('fetching the kubectl of Debian (package kubernetes-client)\n');
    const unfinished = `${folder}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    try {
      execFileSync('sh', ['-ec', 'apt-get download kubernetes-client || { apt-get update -qq; apt-get download kubernetes-client; }; dpkg -x kubernetes-client_*.deb .; rm kubernetes-client_*.deb'], { cwd: unfinished, stdio: ['ignore', 'ignore', 'inherit'], timeout: BUILD_TIMEOUT_MS });
    } catch {
      return undefined;
    }
    renameSync(unfinished, folder);
  }
  return known([path])[0];
}

function buildCurrent(): Kubectl | undefined {
  const folder = join(CACHE, 'kubectl-current');
  const path = join(folder, 'kubectl');
  if (!existsSync(path)) {
    if (spawnSync('go', ['version']).status !== 0) return undefined;
    process.stdout.write(`building kubectl from ${MODULE}\n`);
    mkdirSync(folder, { recursive: true });
    const [name = '', version = ''] = MODULE.split('@');
    writeFileSync(join(folder, 'main.go'), `package main

import (
\t"os"

\t"k8s.io/component-base/cli"
\t"k8s.io/kubectl/pkg/cmd"
\t"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
\tif err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
\t\tutil.CheckErr(err)
\t\tos.Exit(1)
\t}
}
`);
    const minor = /^v0\.(\d+)/.exec(version)?.[1] ?? '';
    const flags = `-X k8s.io/client-go/pkg/version.gitMajor=1 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${minor} -X k8s.io/component-base/version.gitVersion=v1.${minor}.0`;
    try {
      execFileSync('sh', ['-ec', `rm -f go.mod go.sum; go mod init example.org/kubectl; go get ${name}@${version} k8s.io/component-base@${version}; go mod tidy; go build -ldflags '${flags}' -o kubectl.new .; mv kubectl.new kubectl`], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'], timeout: BUILD_TIMEOUT_MS });
    } catch {
      return undefined;
    }
  }
  return known([path])[0];
}

/** An old one (1.20) and the newest current one. Throws with what to install when one cannot be had. */
export function oldAndCurrentKubectl(): readonly [Kubectl, Kubectl] {
  const present = known(onPath()).sort((a, b) => b.minor - a.minor);
  const old = present.find(({ minor }) => minor === 20) ?? fetchOld();
  const current = present.find(({ minor }) => minor >= OLDEST_CURRENT_MINOR) ?? buildCurrent();
  if (!old) throw new Error('no kubectl 1.20: install Debian 12\'s package kubernetes-client, or put one on PATH');
  if (!current) throw new Error(`no kubectl of 1.${OLDEST_CURRENT_MINOR} or later on PATH, and it could not be built: install kubectl, or Go so that it can be built from ${MODULE}`);
  return [old, current];
}
