// clock HOST --skew DURATION: every process on the host sees its wall clock so far ahead or behind. See lib/service/shifted-clock.ts.
import { FlagError, parseDurationMs } from '#lib/service/flags.ts';
import { CLOCK_FILE, CLOCK_FOLDER, FAKETIME_PATHS } from '#lib/service/shifted-clock.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { belongsOn, COMPONENTS } from '../cluster-layout.ts';
import { UserError } from '../user-error.ts';
import type { FaultKind, FaultWords } from './fault.ts';
import { hasHost, requireHost, requireNoOther } from './one-at-a-time.ts';

export const CLOCK_PATH = `${CLOCK_FOLDER}/${CLOCK_FILE}`;
/** Of docker compose: where the containers of a master's control plane see it. */
const CONTROL_PLANE_CLOCK_PATH = `/var/lib/kubreak/control-plane/clock/${CLOCK_FILE}`;

interface ClockPlan {
  readonly host: string;
  readonly skewMs: number;
}

/** Throws UserError (exit code 2) for words that are no such command. `+2h`, `-90s`, `1500ms`. */
export function parseClock({ args, options }: FaultWords): ClockPlan {
  const [host, ...more] = args;
  const { skew } = options;
  if (host === undefined || more.length > 0) throw new UserError('clock takes a host', 2);
  if (typeof skew !== 'string') throw new UserError('clock needs --skew, such as +2h or -90s', 2);
  const wrong = new UserError(`--skew must be a duration such as +2h or -90s, not "${skew}"`, 2);
  try {
    const [, sign = '', duration = ''] = /^([+-]?)(\d.*)$/.exec(skew) ?? [];
    if (duration === '') throw wrong;
    const skewMs = parseDurationMs(duration) * (sign === '-' ? -1 : 1);
    if (skewMs !== 0) return { host, skewMs };
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
  }
  throw wrong;
}

/** As libfaketime reads it: seconds. */
export const offsetText = (skewMs: number): string => `${skewMs < 0 ? '-' : '+'}${Math.abs(skewMs) / 1000}\n`;

const pathsOn = ({ mode, hosts }: ClusterAccess, host: string): string[] => {
  const hasOwnContainers = mode === 'compose' && hosts.some((each) => each.name === host && COMPONENTS.some((component) => component.supervisedBy === 'static-pod' && belongsOn(component, each, hosts)));
  return [CLOCK_PATH, ...(hasOwnContainers ? [CONTROL_PLANE_CLOCK_PATH] : [])];
};

/** Exit codes: 1 not installed, 2 installed since the services of the host were started. */
const CHECK = `found=1
for library in ${FAKETIME_PATHS.join(' ')}; do [ ! -e "$library" ] || found=0; done
[ $found = 0 ] || exit 1
grep -q libfaketime /proc/[0-9]*/maps 2>/dev/null || exit 2`;

export const clockFault: FaultKind<ClockPlan> = {
  name: 'clock',
  description: 'set the wall clock of a host ahead or behind: all its processes see it, timers go on as before',
  arguments: '<host>',
  options: [{ flags: '--skew <duration>', description: 'such as +2h or -90s' }],
  async plan(cluster, words) {
    const plan = parseClock(words);
    requireHost(cluster, plan.host);
    requireNoOther<ClockPlan>(cluster, 'clock', ({ host }) => host === plan.host);
    const { code, stderr } = await cluster.onHost(plan.host, ['sh', '-c', CHECK]);
    if (code === 1) throw new UserError('the clock of a host is shifted by libfaketime, which is not installed; on Debian and Ubuntu: apt-get install libfaketime, then kubreak down and kubreak up');
    if (code === 2) throw new UserError(`libfaketime was installed after ${plan.host} had booted: kubreak reboot ${plan.host}, then try again`);
    if (code !== 0) throw new UserError(`${plan.host}: ${stderr.trim()}`);
    return plan;
  },
  async apply(cluster, { host, skewMs }) {
    for (const path of pathsOn(cluster, host)) await cluster.writeFile(host, path, offsetText(skewMs));
    return 'seen within a second; programs without libc, and containers that run already and are not of the cluster itself, keep the true time';
  },
  async undo(cluster, { host }) {
    if (hasHost(cluster, host)) for (const path of pathsOn(cluster, host)) await cluster.writeFile(host, path, undefined);
  },
  isInForce: async (cluster, { host, skewMs }) => hasHost(cluster, host) && (await cluster.readFile(host, CLOCK_PATH)) === offsetText(skewMs),
};
