// Which requests are written to the audit log, and how much of them: the first rule that fits decides.
// Source: apiserver pkg/audit/policy/{checker,reader}.go, apis/audit/v1/types.go, apis/audit/validation.
import type { User } from '../access.ts';
import type { RequestInfo } from '../request-info.ts';

export const LEVELS = ['None', 'Metadata', 'Request', 'RequestResponse'] as const;
export type Level = (typeof LEVELS)[number];
export const STAGES = ['RequestReceived', 'ResponseStarted', 'ResponseComplete', 'Panic'] as const;
export type Stage = (typeof STAGES)[number];

interface GroupResources {
  readonly group: string;
  readonly resources: readonly string[];
  readonly resourceNames: readonly string[];
}

interface PolicyRule {
  readonly level: Level;
  readonly users: readonly string[];
  readonly userGroups: readonly string[];
  readonly verbs: readonly string[];
  readonly resources: readonly GroupResources[];
  readonly namespaces: readonly string[];
  readonly nonResourceURLs: readonly string[];
  readonly omitStages: readonly Stage[];
  readonly omitManagedFields: boolean;
}

export interface AuditDecision {
  readonly level: Level;
  readonly omitStages: readonly Stage[];
  readonly omitManagedFields: boolean;
}

export class PolicyError extends Error {
  override readonly name = 'PolicyError';
}

type Raw = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value);

function textsAt(raw: Raw, key: string, path: string): string[] {
  const value = raw[key] ?? [];
  if (!Array.isArray(value) || value.some((one) => typeof one !== 'string')) throw new PolicyError(`${path}.${key} must be a list of strings`);
  return value as string[];
}

function stagesAt(raw: Raw, path: string): Stage[] {
  return textsAt(raw, 'omitStages', path).map((text) => {
    const stage = STAGES.find((one) => one === text);
    if (!stage) throw new PolicyError(`${path}.omitStages: Unsupported value: "${text}": supported values: ${STAGES.map((one) => `"${one}"`).join(', ')}`);
    return stage;
  });
}

const RULE_FIELDS = ['level', 'users', 'userGroups', 'verbs', 'resources', 'namespaces', 'nonResourceURLs', 'omitStages', 'omitManagedFields'];

function refuseUnknown(raw: Raw, known: readonly string[], path: string): void {
  const unknown = Object.keys(raw).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new PolicyError(`unknown field "${path === '' ? '' : `${path}.`}${unknown}"`);
}

/** Throws PolicyError. */
export function parsePolicy(value: unknown): AuditPolicy {
  if (!isObject(value) || value['kind'] !== 'Policy' || value['apiVersion'] !== 'audit.k8s.io/v1') throw new PolicyError('it must be of kind Policy, apiVersion audit.k8s.io/v1');
  refuseUnknown(value, ['apiVersion', 'kind', 'metadata', 'rules', 'omitStages', 'omitManagedFields'], '');
  const omitStages = stagesAt(value, 'policy');
  const rules = value['rules'] ?? [];
  if (!Array.isArray(rules)) throw new PolicyError('rules must be a list');
  if (rules.length === 0) throw new PolicyError('loaded illegal policy with 0 rules');
  return new AuditPolicy(rules.map((raw: unknown, at): PolicyRule => {
    const path = `rules[${at}]`;
    if (!isObject(raw)) throw new PolicyError(`${path} must be an object`);
    refuseUnknown(raw, RULE_FIELDS, path);
    const level = LEVELS.find((one) => one === raw['level']);
    if (!level) throw new PolicyError(`${path}.level: ${raw['level'] === undefined ? 'Required value' : `Unsupported value: "${String(raw['level'])}": supported values: ${LEVELS.map((one) => `"${one}"`).join(', ')}`}`);
    const groups = raw['resources'] ?? [];
    if (!Array.isArray(groups)) throw new PolicyError(`${path}.resources must be a list`);
    const nonResourceURLs = textsAt(raw, 'nonResourceURLs', path);
    const namespaces = textsAt(raw, 'namespaces', path);
    if (nonResourceURLs.length > 0 && (groups.length > 0 || namespaces.length > 0)) throw new PolicyError(`${path}.nonResourceURLs: Invalid value: rules cannot apply to both regular resources and non-resource URLs`);
    return {
      level, users: textsAt(raw, 'users', path), userGroups: textsAt(raw, 'userGroups', path), verbs: textsAt(raw, 'verbs', path), namespaces, nonResourceURLs,
      resources: groups.map((group: unknown, index) => {
        const where = `${path}.resources[${index}]`;
        if (!isObject(group)) throw new PolicyError(`${where} must be an object`);
        refuseUnknown(group, ['group', 'resources', 'resourceNames'], where);
        if (typeof (group['group'] ?? '') !== 'string') throw new PolicyError(`${where}.group must be a string`);
        return { group: (group['group'] as string | undefined) ?? '', resources: textsAt(group, 'resources', where), resourceNames: textsAt(group, 'resourceNames', where) };
      }),
      omitStages: [...new Set([...omitStages, ...stagesAt(raw, path)])], omitManagedFields: typeof raw['omitManagedFields'] === 'boolean' ? raw['omitManagedFields'] : value['omitManagedFields'] === true,
    };
  }), omitStages);
}

export class AuditPolicy {
  readonly #rules: readonly PolicyRule[];
  readonly #omitStages: readonly Stage[];

  constructor(rules: readonly PolicyRule[], omitStages: readonly Stage[]) {
    this.#rules = rules;
    this.#omitStages = omitStages;
  }
  decide(user: User, info: RequestInfo): AuditDecision {
    return this.#rules.find((rule) => fits(rule, user, info)) ?? { level: 'None', omitStages: this.#omitStages, omitManagedFields: false };
  }
}

function fits({ users, userGroups, verbs, resources, namespaces, nonResourceURLs }: PolicyRule, user: User, info: RequestInfo): boolean {
  if (users.length > 0 && !users.includes(user.name)) return false;
  if (userGroups.length > 0 && !user.groups.some((group) => userGroups.includes(group))) return false;
  if (verbs.length > 0 && !verbs.includes(info.verb)) return false;
  if (namespaces.length > 0 || resources.length > 0) return fitsResource(resources, namespaces, info);
  return nonResourceURLs.length === 0 || (!info.isResourceRequest && nonResourceURLs.some((pattern) =>
    pattern === '*' || pattern === info.path || (pattern.endsWith('*') && info.path.startsWith(pattern.replace(/\*+$/, '')))));
}

function fitsResource(resources: readonly GroupResources[], namespaces: readonly string[], { isResourceRequest, namespace, apiGroup, resource, subresource, name }: RequestInfo): boolean {
  if (!isResourceRequest || (namespaces.length > 0 && !namespaces.includes(namespace))) return false;
  const combined = subresource === '' ? resource : `${resource}/${subresource}`;
  return resources.length === 0 || resources.some((group) => group.group === apiGroup && (group.resources.length === 0 || (
    (group.resourceNames.length === 0 || group.resourceNames.includes(name))
    && group.resources.some((pattern) => pattern === combined || pattern === '*' || (subresource !== '' && pattern === `*/${subresource}`) || pattern === `${resource}/*`))));
}
