// Whether a rule means a request.
import type { RuleMatch } from '#lib/api-fault/rule.ts';

/** What rules can ask about a request. */
export interface RequestFacts {
  /** As whom it acts. */
  readonly user: string;
  readonly groups: readonly string[];
  readonly userAgent: string;
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** A list that goes on from a page or shows an exact revision, or a watch from a revision: it may be too old. */
  readonly resumes: boolean;
  /** A list that is content with an older state. */
  readonly mayBeStale: boolean;
  /** A watch, exec and the like: answered bit by bit. */
  readonly isLongRunning: boolean;
}

type Test = (text: string) => boolean;

/** `*` stands for any characters. Without backtracking: the pieces between have to follow one another. */
export function patternTest(pattern: string): Test {
  const pieces = pattern.split('*');
  const [head = '', ...rest] = pieces;
  const tail = rest.pop();
  if (tail === undefined) return (text) => text === pattern;
  return (text) => {
    if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false;
    let at = head.length;
    for (const piece of rest) {
      const found = text.indexOf(piece, at);
      if (found < 0) return false;
      at = found + piece.length;
    }
    return at <= text.length - tail.length;
  };
}

const anyOf = (patterns: readonly string[], toTest: (pattern: string) => Test = patternTest): Test => {
  const tests = patterns.map(toTest);
  return (text) => tests.some((test) => test(text));
};

function resourceTest(pattern: string): (facts: RequestFacts) => boolean {
  const parts = pattern.split('/');
  const [group = '*', resource = '', subresource = ''] = parts.length === 1 ? ['*', pattern] : parts;
  const isGroup = patternTest(group === 'core' ? '' : group);
  const isResource = patternTest(resource);
  const isSubresource = patternTest(subresource);
  return (facts) => isGroup(facts.group) && isResource(facts.resource) && isSubresource(facts.subresource);
}

export function compileMatch({ users, groups, userAgents, verbs, resources, namespaces, names }: RuleMatch): (facts: RequestFacts) => boolean {
  const conditions: ((facts: RequestFacts) => boolean)[] = [];
  const add = (patterns: readonly string[] | undefined, textOf: (facts: RequestFacts) => string): void => {
    if (!patterns) return;
    const test = anyOf(patterns);
    conditions.push((facts) => test(textOf(facts)));
  };
  add(verbs, ({ verb }) => verb);
  add(users, ({ user }) => user);
  add(namespaces, ({ namespace }) => namespace);
  add(names, ({ name }) => name);
  add(userAgents?.map((pattern) => `*${pattern}*`), ({ userAgent }) => userAgent);
  if (groups) {
    const test = anyOf(groups);
    conditions.push((facts) => facts.groups.some(test));
  }
  if (resources) {
    const tests = resources.map(resourceTest);
    conditions.push((facts) => tests.some((test) => test(facts)));
  }
  return (facts) => conditions.every((condition) => condition(facts));
}
