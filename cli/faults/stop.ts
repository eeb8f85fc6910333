// stop COMPONENT[@HOST], kill COMPONENT[@HOST] and poweroff HOST as faults: what is down stays down until it is undone.
import { belongsOn, COMPONENTS, type Component } from '../cluster-layout.ts';
import type { ClusterAccess, Touched } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';
import type { FaultKind, FaultWords } from './fault.ts';
import { FaultStore } from './fault-store.ts';
import { hasHost, requireHost } from './one-at-a-time.ts';
import { parseSelector } from '../selector.ts';

interface StopPlan {
  readonly component: string;
  /** Where it has a place; empty: anywhere. */
  readonly hosts: readonly string[];
  /** Of `kill`: without --for whoever supervises it starts it again. */
  readonly staysDown: boolean;
}

const listed = (touched: readonly Touched[], done: string, separator = ', '): string => touched.map(({ component, host, pid }) => `${component}${host && `@${host}`} ${done}${pid === undefined ? '' : ` (pid ${pid})`}`).join(separator);

function componentOf(plan: StopPlan): Component {
  const component = COMPONENTS.find(({ name }) => name === plan.component);
  if (!component) throw new Error(`no component is called ${plan.component}`);
  return component;
}

/** Throws UserError as parseSelector does. */
export function parseStop(hosts: ClusterAccess['hosts'], { args }: FaultWords): Omit<StopPlan, 'staysDown'> {
  const [selector = '', ...more] = args;
  if (selector === '' || more.length > 0) throw new UserError('COMPONENT or COMPONENT@HOST is wanted', 2);
  const { component, host } = parseSelector({ hosts }, selector);
  if (host !== undefined) return { component: component.name, hosts: [host] };
  const places = component.hosts === 'any' ? [] : hosts.filter((each) => belongsOn(component, each, hosts)).map(({ name }) => name);
  if (component.hosts !== 'any' && places.length === 0) throw new UserError(`${component.name} does not run on any host`);
  return { component: component.name, hosts: places };
}

const selectors = ({ component, hosts }: StopPlan): string[] => (hosts.length === 0 ? [component] : hosts.map((host) => `${component}@${host}`));

async function eachOf(plan: StopPlan, pull: (selector: string) => Promise<readonly Touched[]>): Promise<Touched[]> {
  const touched: Touched[] = [];
  for (const selector of selectors(plan)) touched.push(...(await pull(selector)));
  return touched;
}

/** A host that is down starts all but static pods anyway when it boots. */
async function startAgain(cluster: ClusterAccess, plan: StopPlan): Promise<void> {
  if (plan.hosts.length === 0) return void (await cluster.start(plan.component));
  for (const host of plan.hosts) {
    if (!hasHost(cluster, host) || (componentOf(plan).supervisedBy !== 'static-pod' && !(await cluster.isUp(host)))) continue;
    await cluster.start(`${plan.component}@${host}`);
  }
}

async function isDown(cluster: ClusterAccess, { component, hosts }: StopPlan): Promise<boolean> {
  const reports = await cluster.status(component);
  if (hosts.length === 0) return reports.every(({ pid }) => pid === null);
  return hosts.some((host) => hasHost(cluster, host) && reports.filter((report) => report.host === host).every(({ pid }) => pid === null));
}

export const stopFault: FaultKind<StopPlan> = {
  name: 'stop',
  description: 'end it and keep it down until it, or the whole cluster, is started; COMPONENT or COMPONENT@HOST',
  arguments: '<component>',
  plan: (cluster, words) => Promise.resolve({ ...parseStop(cluster.hosts, words), staysDown: true }),
  apply: async (cluster, plan) => listed(await eachOf(plan, (selector) => cluster.stop(selector)), 'stopped'),
  undo: startAgain,
  isInForce: isDown,
};

export const killFault: FaultKind<StopPlan> = {
  name: 'kill',
  description: 'SIGKILL; who supervises it starts it again, with --for not before then; COMPONENT or COMPONENT@HOST',
  arguments: '<component>',
  isMomentary: true,
  plan: (cluster, words) => Promise.resolve({ ...parseStop(cluster.hosts, words), staysDown: words.forMs !== undefined }),
  async apply(cluster, plan) {
    const { component, hosts, staysDown } = plan;
    // On all hosts at once, where it runs; on a host where it does not, that is said.
    const [only, ...more] = hosts;
    const touched = await cluster.signal(only !== undefined && more.length === 0 ? `${component}@${only}` : component, 'SIGKILL');
    if (staysDown) await eachOf(plan, (selector) => cluster.stop(selector));
    return listed(touched, 'killed', staysDown ? ', ' : '\n');
  },
  undo: async (cluster, plan) => (plan.staysDown ? startAgain(cluster, plan) : undefined),
  isInForce: async (cluster, plan) => plan.staysDown && isDown(cluster, plan),
};

/** After `start`: what it has started needs no undoing any more. */
export function forgetStarted(cluster: ClusterAccess, started: readonly Touched[]): void {
  const store = new FaultStore(cluster);
  for (const { id, kind, plan, maker } of store.list()) {
    if ((kind !== 'stop' && kind !== 'kill') || maker) continue;
    const { component, hosts } = plan as StopPlan;
    const own = started.filter((each) => each.component === component).map(({ host }) => host);
    if (own.length > 0 && hosts.every((host) => own.includes(host))) store.forget(id);
  }
}

interface PowerPlan {
  readonly host: string;
}

export const powerOffFault: FaultKind<PowerPlan> = {
  name: 'poweroff',
  description: 'cut the power of a host; its disk stays',
  arguments: '<host>',
  plan(cluster, { args }) {
    const [host, ...more] = args;
    if (host === undefined || more.length > 0) throw new UserError('poweroff takes a host', 2);
    requireHost(cluster, host);
    return Promise.resolve({ host });
  },
  apply: (cluster, { host }) => cluster.powerOff(host),
  undo: async (cluster, { host }) => (hasHost(cluster, host) ? cluster.powerOn(host) : undefined),
  isInForce: async (cluster, { host }) => hasHost(cluster, host) && !(await cluster.isUp(host)),
};
