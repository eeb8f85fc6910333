// Label selectors (as text and as objects), field selectors, and the node selectors of pods.
// Source: apimachinery pkg/labels/selector.go, pkg/fields/selector.go, component-helpers scheduling/corev1/nodeaffinity.
import type { Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod } from '#lib/kinds/types/core-v1.ts';
import type { LabelSelector } from '#lib/kinds/types/meta-v1.ts';
import { fieldErrorText, invalid } from './field-error.ts';
import { labelValueProblems, qualifiedNameProblems } from './names.ts';

export type Labels = Readonly<Record<string, string>>;

export type LabelOperator = 'in' | 'notin' | '=' | '==' | '!=' | 'gt' | 'lt' | 'exists' | '!';
export interface LabelRequirement {
  readonly key: string;
  readonly operator: LabelOperator;
  readonly values: readonly string[];
}

/** Thrown for text that is no selector, with upstream's words. */
export class SelectorError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SelectorError';
  }
}

const INTEGER = /^[+-]?\d+$/;
const labelOf = (labels: Labels | undefined, key: string): string | undefined =>
  labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;

function requirementMatches({ key, operator, values }: LabelRequirement, labels: Labels | undefined): boolean {
  const value = labelOf(labels, key);
  switch (operator) {
    case 'in': case '=': case '==': return value !== undefined && values.includes(value);
    case 'notin': case '!=': return value === undefined || !values.includes(value);
    case 'exists': return value !== undefined;
    case '!': return value === undefined;
    case 'gt': case 'lt': return value !== undefined && comparesAs(operator, value, values);
  }
}
function comparesAs(operator: 'gt' | 'lt', value: string, [bound]: readonly string[]): boolean {
  if (bound === undefined || !INTEGER.test(value) || !INTEGER.test(bound)) return false;
  return operator === 'gt' ? BigInt(value) > BigInt(bound) : BigInt(value) < BigInt(bound);
}

const OPERATOR_TEXT: Readonly<Record<LabelOperator, string>> =
  { in: ' in ', notin: ' notin ', '=': '=', '==': '==', '!=': '!=', gt: '>', lt: '<', exists: '', '!': '!' };

function requirementText({ key, operator, values }: LabelRequirement): string {
  if (operator === 'exists') return key;
  if (operator === '!') return `!${key}`;
  const list = [...values].sort().join(',');
  return `${key}${OPERATOR_TEXT[operator]}${operator === 'in' || operator === 'notin' ? `(${list})` : list}`;
}

/** All requirements must hold; none hold nothing back. */
export class Selector {
  readonly requirements: readonly LabelRequirement[];
  /** False for the selector that an absent LabelSelector means: it selects nothing. */
  readonly selectsAnything: boolean;
  constructor(requirements: readonly LabelRequirement[], selectsAnything = true) {
    this.requirements = [...requirements].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
    this.selectsAnything = selectsAnything;
  }
  matches(labels: Labels | undefined): boolean {
    if (!this.selectsAnything) return false;
    for (const requirement of this.requirements) if (!requirementMatches(requirement, labels)) return false;
    return true;
  }
  /** Whether it selects everything. */
  get isEmpty(): boolean {
    return this.selectsAnything && this.requirements.length === 0;
  }
  toString(): string {
    return this.requirements.map(requirementText).join(',');
  }
}

export const everything = new Selector([]);
export const nothing = new Selector([], false);

export function selectorFromMap(labels: Labels | undefined): Selector {
  const entries = Object.entries(labels ?? {});
  return entries.length === 0 ? everything : new Selector(entries.map(([key, value]) => ({ key, operator: '=', values: [value] })));
}

const OBJECT_OPERATORS: Readonly<Record<string, LabelOperator>> = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!' };

/** A LabelSelector object; absent selects nothing, empty everything. Throws for an unknown operator. */
export function labelSelector(selector: Readonly<LabelSelector> | undefined): Selector {
  if (selector === undefined) return nothing;
  const requirements: LabelRequirement[] = Object.entries(selector.matchLabels ?? {})
    .map(([key, value]) => ({ key, operator: '=', values: [value] }));
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const known = OBJECT_OPERATORS[operator];
    if (known === undefined) throw new SelectorError(`${JSON.stringify(operator ?? '')} is not a valid label selector operator`);
    requirements.push({ key, operator: known, values: values ?? [] });
  }
  return requirements.length === 0 ? everything : new Selector(requirements);
}

/** A LabelSelector as text: `app=web,tier in (a,b)`; `<none>` when empty, `<error>` when invalid. Source: metav1.FormatLabelSelector. */
export function labelSelectorText(selector: Readonly<LabelSelector> | undefined): string {
  try {
    return labelSelector(selector).toString() || '<none>';
  } catch (error) {
    if (!(error instanceof SelectorError)) throw error;
    return '<error>';
  }
}

// ---- Label selectors as text -----------------------------------------------------------------------------------

type TokenKind = 'error' | 'end' | ')' | ',' | '!' | '==' | '=' | '>' | 'identifier' | 'in' | '<' | '!=' | 'notin' | '(';
interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}
const SYMBOLS = new Set<string>([')', ',', '!', '==', '=', '>', '<', '!=', '(']);
const isSymbolCharacter = (character: string): boolean => '=!(),><'.includes(character);
const isSpace = (character: string): boolean => ' \t\r\n'.includes(character);

function readSymbol(text: string, start: number): { token: Token; end: number } {
  let best = '';
  let end = start;
  while (end < text.length && isSymbolCharacter(text[end] ?? '')) {
    const longer = text.slice(start, end + 1);
    if (SYMBOLS.has(longer)) best = longer;
    else if (best !== '') break;
    end += 1;
  }
  if (best === '') return { token: { kind: 'error', text: `error expected: keyword found '${text.slice(start, end)}'` }, end };
  return { token: { kind: best as TokenKind, text: best }, end };
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let position = 0;
  while (position < text.length) {
    const character = text[position] ?? '';
    if (isSpace(character)) {
      position += 1;
    } else if (isSymbolCharacter(character)) {
      const { token, end } = readSymbol(text, position);
      tokens.push(token);
      position = end;
    } else {
      let end = position;
      while (end < text.length && !isSpace(text[end] ?? '') && !isSymbolCharacter(text[end] ?? '')) end += 1;
      const word = text.slice(position, end);
      tokens.push({ kind: word === 'in' || word === 'notin' ? word : 'identifier', text: word });
      position = end;
    }
  }
  tokens.push({ kind: 'end', text: '' });
  return tokens;
}

class LabelSelectorParser {
  readonly #tokens: readonly Token[];
  #position = 0;
  constructor(text: string) {
    this.#tokens = tokensOf(text);
  }
  /** `in` and `notin` are words like any other, except where an operator must stand. */
  #look(wantOperator = false): Token {
    const token = this.#tokens[this.#position] ?? { kind: 'end', text: '' };
    return !wantOperator && (token.kind === 'in' || token.kind === 'notin') ? { kind: 'identifier', text: token.text } : token;
  }
  #take(wantOperator = false): Token {
    const token = this.#look(wantOperator);
    this.#position += 1;
    return token;
  }
  parse(): LabelRequirement[] {
    const requirements: LabelRequirement[] = [];
    for (;;) {
      const first = this.#look();
      if (first.kind === 'end') return requirements;
      if (first.kind !== 'identifier' && first.kind !== '!') throw new SelectorError(`found '${first.text}', expected: !, identifier, or 'end of string'`);
      requirements.push(this.#requirement());
      const after = this.#take();
      if (after.kind === 'end') return requirements;
      if (after.kind !== ',') throw new SelectorError(`found '${after.text}', expected: ',' or 'end of string'`);
      const next = this.#look();
      if (next.kind !== 'identifier' && next.kind !== '!') throw new SelectorError(`found '${next.text}', expected: identifier after ','`);
    }
  }
  #requirement(): LabelRequirement {
    try {
      const requirement = this.#uncheckedRequirement();
      checkRequirement(requirement);
      return requirement;
    } catch (error) {
      if (!(error instanceof SelectorError)) throw error;
      throw new SelectorError(`unable to parse requirement: ${error.message}`);
    }
  }
  #uncheckedRequirement(): LabelRequirement {
    let token = this.#take();
    const isNegated = token.kind === '!';
    if (isNegated) token = this.#take();
    if (token.kind !== 'identifier') throw new SelectorError(`found '${token.text}', expected: identifier`);
    const key = token.text;
    const problems = qualifiedNameProblems(key);
    if (problems.length > 0) throw new SelectorError(fieldErrorText(invalid('<nil>', key, problems.join('; '))));
    if (isNegated) return { key, operator: '!', values: [] };
    const next = this.#look();
    if (next.kind === 'end' || next.kind === ',') return { key, operator: 'exists', values: [] };
    const operator = this.#operator();
    const values = operator === 'in' || operator === 'notin' ? this.#valueSet() : this.#singleValue();
    return { key, operator, values: [...new Set(values)].sort() };
  }
  #operator(): LabelOperator {
    const { kind, text } = this.#take(true);
    switch (kind) {
      case 'in': case 'notin': case '=': case '==': case '!=': return kind;
      case '>': return 'gt';
      case '<': return 'lt';
      default: throw new SelectorError(`found '${text}', expected: in, notin, =, ==, !=, gt, lt`);
    }
  }
  #valueSet(): string[] {
    const open = this.#take();
    if (open.kind !== '(') throw new SelectorError(`found '${open.text}' expected: '('`);
    const first = this.#look();
    if (first.kind === ')') {
      this.#take();
      return [''];
    }
    if (first.kind !== 'identifier' && first.kind !== ',') throw new SelectorError(`found '${first.text}', expected: ',', ')' or identifier`);
    const values = this.#valueList();
    if (this.#take().kind !== ')') throw new SelectorError(`found '${first.text}', expected: ')'`);
    return values;
  }
  #valueList(): string[] {
    const values: string[] = [];
    for (;;) {
      const token = this.#take();
      if (token.kind === 'identifier') {
        values.push(token.text);
        const next = this.#look();
        if (next.kind === ')') return values;
        if (next.kind !== ',') throw new SelectorError(`found '${next.text}', expected: ',' or ')'`);
      } else if (token.kind === ',') {
        // An empty place between commas is the empty value.
        if (values.length === 0) values.push('');
        const next = this.#look();
        if (next.kind === ')') {
          values.push('');
          return values;
        }
        if (next.kind === ',') {
          this.#take();
          values.push('');
        }
      } else {
        throw new SelectorError(`found '${token.text}', expected: ',', or identifier`);
      }
    }
  }
  #singleValue(): string[] {
    const next = this.#look();
    if (next.kind === 'end' || next.kind === ',') return [''];
    const token = this.#take();
    if (token.kind !== 'identifier') throw new SelectorError(`found '${token.text}', expected: identifier`);
    return [token.text];
  }
}

/** Throws SelectorError with all problems of one requirement, as an aggregate of field errors reads. */
function checkRequirement({ key, operator, values }: LabelRequirement): void {
  const texts: string[] = [];
  if (operator === 'gt' || operator === 'lt') {
    values.forEach((value, index) => {
      if (!INTEGER.test(value)) texts.push(fieldErrorText(invalid(`values[${index}]`, value, "for 'Gt', 'Lt' operators, the value must be an integer")));
    });
  }
  values.forEach((value, index) => {
    const problems = labelValueProblems(value);
    if (problems.length > 0) texts.push(fieldErrorText(invalid(`values[${index}][${key}]`, value, problems.join('; '))));
  });
  if (texts.length > 0) throw new SelectorError(texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(', ')}]`);
}

/** `app=web,tier in (a,b),!legacy`; throws SelectorError. */
export function parseLabelSelector(text: string): Selector {
  const requirements = new LabelSelectorParser(text).parse();
  return requirements.length === 0 ? everything : new Selector(requirements);
}

// ---- Field selectors -------------------------------------------------------------------------------------------

export interface FieldTerm {
  readonly field: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}

export class FieldSelector {
  readonly terms: readonly FieldTerm[];
  constructor(terms: readonly FieldTerm[]) {
    this.terms = terms;
  }
  get isEmpty(): boolean {
    return this.terms.length === 0;
  }
  /** `valueOf` gives the text of a field; a field that is unset counts as empty. */
  matches(valueOf: (field: string) => string): boolean {
    return this.terms.every(({ field, operator, value }) => (valueOf(field) === value) === (operator === '='));
  }
  /** The one value that a field must have, if the selector says so: a list by metadata.name is a get. */
  exactValue(field: string): string | undefined {
    return this.terms.find((term) => term.field === field && term.operator === '=')?.value;
  }
  toString(): string {
    return this.terms.map(({ field, operator, value }) => `${field}${operator}${value.replace(/[\\,=]/g, '\\$&')}`).join(',');
  }
}

/** Splits at commas that no backslash escapes. */
function fieldParts(text: string): string[] {
  if (text === '') return [];
  const parts = [''];
  let isEscaped = false;
  for (const character of text) {
    if (!isEscaped && character === ',') {
      parts.push('');
      continue;
    }
    parts[parts.length - 1] += character;
    isEscaped = !isEscaped && character === '\\';
  }
  return parts;
}

function unescaped(text: string): string {
  let result = '';
  let isEscaped = false;
  for (const character of text) {
    if (isEscaped) {
      if (!'\\,='.includes(character)) throw new SelectorError(`invalid field selector: invalid escape sequence: \\${character}`);
      result += character;
      isEscaped = false;
    } else if (character === '\\') {
      isEscaped = true;
    } else if (character === ',' || character === '=') {
      // Upstream prints the rune as a number.
      throw new SelectorError(`invalid field selector: unescaped character in value: ${character.charCodeAt(0)}`);
    } else {
      result += character;
    }
  }
  if (isEscaped) throw new SelectorError('invalid field selector: invalid escape sequence: \\');
  return result;
}

/** `status.phase=Running,spec.nodeName!=w1-k8s`; throws SelectorError. Which fields exist is the kind's business. */
export function parseFieldSelector(text: string): FieldSelector {
  const terms: FieldTerm[] = [];
  for (const part of fieldParts(text).sort()) {
    if (part === '') continue;
    const match = /^(.*?)(!=|==|=)(.*)$/s.exec(part);
    if (match === null) throw new SelectorError(`invalid selector: '${text}'; can't understand '${part}'`);
    const [, field = '', operator, value = ''] = match;
    terms.push({ field, operator: operator === '!=' ? '!=' : '=', value: unescaped(value) });
  }
  return new FieldSelector(terms);
}

// ---- Node selectors --------------------------------------------------------------------------------------------

function nodeRequirementMatches({ key, operator, values = [] }: Readonly<NodeSelectorRequirement>, labels: Labels): boolean {
  const value = labelOf(labels, key);
  switch (operator) {
    case 'In': return value !== undefined && values.includes(value);
    case 'NotIn': return value === undefined || !values.includes(value);
    case 'Exists': return value !== undefined;
    case 'DoesNotExist': return value === undefined;
    case 'Gt': return value !== undefined && comparesAs('gt', value, values);
    case 'Lt': return value !== undefined && comparesAs('lt', value, values);
    default: return false;
  }
}

/** All requirements of a term must hold; a term without any matches nothing. */
export function matchesNodeSelectorTerm(term: Readonly<NodeSelectorTerm>, node: Readonly<Node>): boolean {
  const { matchExpressions = [], matchFields = [] } = term;
  if (matchExpressions.length === 0 && matchFields.length === 0) return false;
  const fields: Labels = { 'metadata.name': node.metadata.name };
  return matchExpressions.every((one) => nodeRequirementMatches(one, node.metadata.labels ?? {}))
    && matchFields.every((one) => nodeRequirementMatches(one, fields));
}

/** Terms are alternatives; a selector without terms matches nothing. */
export function matchesNodeSelector(selector: Readonly<NodeSelector>, node: Readonly<Node>): boolean {
  return (selector.nodeSelectorTerms ?? []).some((term) => matchesNodeSelectorTerm(term, node));
}

/** Whether a pod's nodeSelector and required node affinity allow the node. */
export function podAllowsNode(pod: Readonly<Pod>, node: Readonly<Node>): boolean {
  const labels = node.metadata.labels ?? {};
  for (const [key, value] of Object.entries(pod.spec?.nodeSelector ?? {})) if (labelOf(labels, key) !== value) return false;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || matchesNodeSelector(required, node);
}
