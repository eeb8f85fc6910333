// What one RBAC rule allows, and whether rules cover other rules. Pure.
// Source: pkg/apis/rbac/v1/evaluation_helpers.go; component-helpers auth/rbac/validation; pkg/registry/rbac/validation.
import type { PolicyRule } from '#lib/kinds/types/rbac-v1.ts';
import type { AuthorizationAttributes } from '../core/access.ts';

const has = (items: readonly string[] | undefined, item: string): boolean => items?.includes(item) ?? false;
const hasAll = (items: readonly string[] | undefined, wanted: readonly string[] | undefined): boolean => (wanted ?? []).every((item) => has(items, item));

export function ruleAllows(rule: PolicyRule, request: AuthorizationAttributes): boolean {
  if (!has(rule.verbs, '*') && !has(rule.verbs, request.verb)) return false;
  if (!request.isResourceRequest) return (rule.nonResourceURLs ?? []).some((url) => urlMatches(url, request.path));
  if (!has(rule.apiGroups, '*') && !has(rule.apiGroups, request.apiGroup)) return false;
  const { resource, subresource, name } = request;
  const full = subresource === '' ? resource : `${resource}/${subresource}`;
  if (!has(rule.resources, '*') && !has(rule.resources, full) && !(subresource !== '' && has(rule.resources, `*/${subresource}`))) return false;
  return (rule.resourceNames ?? []).length === 0 || has(rule.resourceNames, name);
}

function urlMatches(pattern: string, path: string): boolean {
  return pattern === '*' || pattern === path || (pattern.endsWith('*') && path.startsWith(pattern.replace(/\*+$/, '')));
}

/** The parts of `wanted` that `held` does not grant, broken down to single verbs, resources and names. */
export function rulesNotCovered(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(breakDown).filter((part) => !held.some((rule) => covers(rule, part)));
}

function breakDown(rule: PolicyRule): PolicyRule[] {
  const parts: PolicyRule[] = [];
  const names = rule.resourceNames ?? [];
  for (const group of rule.apiGroups ?? []) {
    for (const resource of rule.resources ?? []) {
      for (const verb of rule.verbs) {
        const part = { apiGroups: [group], resources: [resource], verbs: [verb] };
        if (names.length === 0) parts.push(part);
        else parts.push(...names.map((name) => ({ ...part, resourceNames: [name] })));
      }
    }
  }
  for (const url of rule.nonResourceURLs ?? []) parts.push(...rule.verbs.map((verb) => ({ nonResourceURLs: [url], verbs: [verb] })));
  return parts;
}

/** `part` has at most one verb, resource, name or URL. */
function covers(rule: PolicyRule, part: PolicyRule): boolean {
  const names = rule.resourceNames ?? [];
  const partNames = part.resourceNames ?? [];
  return (has(rule.verbs, '*') || hasAll(rule.verbs, part.verbs))
    && (has(rule.apiGroups, '*') || hasAll(rule.apiGroups, part.apiGroups))
    && (part.resources ?? []).every((resource) => resourceCovers(rule.resources, resource))
    && (names.length === 0 || (partNames.length > 0 && hasAll(names, partNames)))
    && (part.nonResourceURLs ?? []).every((url) => (rule.nonResourceURLs ?? []).some((pattern) => urlCovers(pattern, url)));
}

function resourceCovers(held: readonly string[] | undefined, resource: string): boolean {
  const slash = resource.indexOf('/');
  return has(held, '*') || has(held, resource) || (slash >= 0 && has(held, `*/${resource.slice(slash + 1)}`));
}

function urlCovers(pattern: string, url: string): boolean {
  return pattern === url || (pattern.endsWith('*') && url.startsWith(pattern.replace(/\*+$/, '')));
}

/** Joins rules that differ in their verbs only; what they allow stays the same. */
export function compactRules(rules: readonly PolicyRule[]): PolicyRule[] {
  const result: PolicyRule[] = [];
  const byTarget = new Map<string, PolicyRule>();
  for (const rule of rules) {
    if (rule.apiGroups?.length !== 1 || rule.resources?.length !== 1) {
      result.push(rule);
      continue;
    }
    const key = JSON.stringify([rule.apiGroups, rule.resources, rule.resourceNames]);
    const same = byTarget.get(key);
    if (same) {
      same.verbs.push(...rule.verbs.filter((verb) => !same.verbs.includes(verb)));
    } else {
      const copy = { ...rule, verbs: [...rule.verbs] };
      byTarget.set(key, copy);
      result.push(copy);
    }
  }
  return result;
}

const goList = (items: readonly string[]): string => `[${items.map((item) => JSON.stringify(item)).join(' ')}]`;

/** `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`, as messages show a rule. */
export function ruleText(rule: PolicyRule): string {
  const parts: string[] = [];
  const add = (name: string, items: readonly string[] | undefined) => {
    if (items && items.length > 0) parts.push(`${name}:${goList(items)}`);
  };
  add('APIGroups', rule.apiGroups);
  add('Resources', rule.resources);
  add('NonResourceURLs', rule.nonResourceURLs);
  add('ResourceNames', rule.resourceNames);
  add('Verbs', rule.verbs);
  return `{${parts.join(', ')}}`;
}
