// What makes processes see the wall clock that `kubreak clock` gives their host: libfaketime, loaded when they start, reads the
// difference from a file. The kernel has no such thing: time namespaces shift the other clocks only.
import { existsSync } from 'node:fs';

/** On each host, and where containers see it. */
export const CLOCK_FOLDER = '/etc/kubreak/clock';
/** In that folder: `+7200`, `-90.5`; seconds. Missing: true time. */
export const CLOCK_FILE = 'offset';

const TRIPLETS: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
/** Debian's and Ubuntu's, Fedora's, Arch's. */
export const FAKETIME_PATHS: readonly string[] = [...(TRIPLETS[process.arch] === undefined ? [] : [`lib/${TRIPLETS[process.arch]}`]), 'lib64', 'lib'].map((folder) => `/usr/${folder}/faketime/libfaketime.so.1`);

/** Undefined where it is not installed. */
export const faketimeLibrary = (root = ''): string | undefined => FAKETIME_PATHS.find((path) => existsSync(root + path));

/** Timers go by the monotonic clock, which stays; so do the times that files have. A change is seen within a second. */
export const clockVariables = (library: string, folder = CLOCK_FOLDER): Readonly<Record<string, string>> => ({
  LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: `${folder}/${CLOCK_FILE}`, DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', NO_FAKE_STAT: '1', FAKETIME_CACHE_DURATION: '1',
});

/** For a process of the host; empty where the library is not installed. */
export function clockEnvironment(folder = CLOCK_FOLDER): Readonly<Record<string, string>> {
  const library = faketimeLibrary();
  return library === undefined ? {} : clockVariables(library, folder);
}

/** To be called by a process that was started so: the programs that it runs (ip, mount, nft) need not. */
export function keepClockFromChildren(environment: Record<string, string | undefined>): void {
  if (environment['FAKETIME_TIMESTAMP_FILE'] !== undefined) delete environment['LD_PRELOAD'];
}
