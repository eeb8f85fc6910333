// What /version says: the release whose behaviour this server follows.

export const VERSION = {
  major: '1', minor: '36', emulationMajor: '1', emulationMinor: '36', minCompatibilityMajor: '1', minCompatibilityMinor: '35',
  gitVersion: 'v1.36.2', gitCommit: '0000000000000000000000000000000000000000', gitTreeState: 'clean', buildDate: '2026-06-09T00:00:00Z',
  goVersion: 'go1.26.0', compiler: 'gc', platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
} as const;
