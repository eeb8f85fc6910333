// COMPONENT or COMPONENT@HOST, as people write it, understood before anything is done.
import type { ClusterAccess } from './access/cluster-access.ts';
import { belongsOn, COMPONENTS, type Component } from './cluster-layout.ts';
import { hostNamed } from './host-named.ts';
import { UserError } from './user-error.ts';

/** As the help of commands says it. */
export const SELECTOR = 'COMPONENT or COMPONENT@HOST';

export interface Selection {
  readonly component: Component;
  /** Absent: all hosts. */
  readonly host?: string;
}

/** Throws UserError (exit code 2) when there is none of that name. */
export function componentNamed(name: string): Component {
  const component = COMPONENTS.find((each) => each.name === name || each.processTitle === name);
  if (!component) throw new UserError(`no component is called "${name}"; there are ${COMPONENTS.map((each) => each.name).join(', ')}`, 2);
  return component;
}

/** What can be said before it is known which hosts there are. Throws UserError (exit code 2). */
export function splitSelector(selector: string): Selection {
  const [name = '', host, ...more] = selector.split('@');
  if (more.length > 0) throw new UserError(`"${selector}" is not ${SELECTOR}`, 2);
  const component = componentNamed(name);
  return host === undefined ? { component } : { component, host };
}

/** Throws UserError (exit code 2) for a component or host that does not exist, (1) for one that never runs there. */
export function parseSelector({ hosts }: Pick<ClusterAccess, 'hosts'>, selector: string): Selection {
  const { component, host } = splitSelector(selector);
  if (host === undefined) return { component };
  const layout = hostNamed(host, hosts);
  if (component.hosts !== 'any' && !belongsOn(component, layout, hosts)) throw new UserError(`${component.name} does not run on ${host}`);
  return { component, host };
}
