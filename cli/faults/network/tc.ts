// What tc does to packets that a host sends: all, or those to some other hosts. In shell scripts, for the device is known only there.

export interface Slowness {
  readonly delayMs?: number;
  readonly jitterMs?: number;
  /** Percent of packets. */
  readonly loss?: number;
  readonly duplicate?: number;
  readonly corrupt?: number;
  /** As tc has it: `8mbit`. */
  readonly rate?: string;
}

export interface HostQueue {
  readonly host: string;
  /** The host's: its device is the one that has it. */
  readonly address: string;
  /** Absent: all that the host sends; otherwise what goes to these devices. */
  readonly toMacs?: readonly string[];
}

/** What follows `netem`; empty when there is nothing for it to do. Source: tc-netem(8). */
export function netemWords({ delayMs, jitterMs, loss, duplicate, corrupt }: Slowness): string[] {
  return [
    ...(delayMs === undefined ? [] : ['delay', `${delayMs}ms`, ...(jitterMs === undefined ? [] : [`${jitterMs}ms`])]),
    ...(loss === undefined ? [] : ['loss', `${loss}%`]),
    ...(duplicate === undefined ? [] : ['duplicate', `${duplicate}%`]),
    ...(corrupt === undefined ? [] : ['corrupt', `${corrupt}%`]),
  ];
}

/** Packets that may wait: as many as a second of the fastest link that one would emulate. */
const NETEM_LIMIT = 100_000;
const UNLIMITED = '100gbit';

/** `handle`: number of the queue, in hexadecimal, by which it is found again. */
export function tcScript({ address, toMacs }: HostQueue, handle: string, slowness: Slowness): string {
  const netem = netemWords(slowness);
  const lines = [
    'set -e',
    `dev=$(ip -o -4 address show to ${address} | awk '{ print $2; exit }')`,
    '[ -n "$dev" ] || { echo "no device has its address: is it off?" >&2; exit 1; }',
    `tc qdisc add dev "$dev" root handle ${handle}: htb default ${toMacs === undefined ? 2 : 1}`,
    `tc class add dev "$dev" parent ${handle}: classid ${handle}:1 htb rate ${UNLIMITED} quantum 60000`,
    `tc class add dev "$dev" parent ${handle}: classid ${handle}:2 htb rate ${slowness.rate ?? UNLIMITED} quantum 3000`,
    ...(netem.length === 0 ? [] : [`tc qdisc add dev "$dev" parent ${handle}:2 handle ${childHandle(handle)}: netem limit ${NETEM_LIMIT} ${netem.join(' ')}`]),
    ...(toMacs ?? []).map((mac) => `tc filter add dev "$dev" parent ${handle}: protocol all prio 1 u32 ${matchMac(mac)} flowid ${handle}:2`),
  ];
  return `${lines.join('\n')}\n`;
}

/** The destination in the Ethernet header, which stands before what u32 counts from. */
function matchMac(mac: string): string {
  const digits = mac.replaceAll(':', '').toLowerCase();
  return `match u16 0x${digits.slice(0, 4)} 0xffff at -14 match u32 0x${digits.slice(4)} 0xffffffff at -12`;
}

const FIRST_HANDLE = 0x8000;
const FIRST_CHILD = 0xc000;
const HANDLES = 0x4000;

/** Of a fault: f001 has 8001. */
export const handleOf = (id: string): string => (FIRST_HANDLE + (Number(id.slice(1)) % HANDLES)).toString(16);
const childHandle = (handle: string): string => (Number.parseInt(handle, 16) - FIRST_HANDLE + FIRST_CHILD).toString(16);

/** Whichever device has it; well also when none has. */
export const tcRemoval = (handle: string): string => `tc qdisc show | sed -n 's/^qdisc htb ${handle}: dev \\([^ ]*\\) .*/\\1/p' | while read -r dev; do tc qdisc del dev "$dev" root; done`;
export const tcCheck = (handle: string): string => `tc qdisc show | grep -q '^qdisc htb ${handle}: '`;
/** Any of ours, which two cannot have at once. */
export const TC_IN_USE = "tc qdisc show | sed -n 's/^qdisc htb \\([89ab][0-9a-f]\\{3\\}\\): dev .*/\\1/p' | head -n 1";
export const idOfHandle = (handle: string): string => `f${String(Number.parseInt(handle, 16) - FIRST_HANDLE).padStart(3, '0')}`;

/** Ends well where the kernel has netem. */
export const NETEM_PROBE: readonly string[] = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && tc qdisc add dev lo root netem delay 1ms'];
