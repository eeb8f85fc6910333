// Rules for names, labels, ports and the like. Each function returns what is wrong in upstream's words; empty means valid.
// Source: apimachinery pkg/util/validation/validation.go, pkg/api/validate/content, pkg/api/validation/{generic,path}.

/** `must be greater than or equal to 0`, shared by all counters. */
export const MUST_NOT_BE_NEGATIVE = 'must be greater than or equal to 0';
export const FIELD_IS_IMMUTABLE = 'field is immutable';

const UTF8 = new TextEncoder();
/** Length as Go's `len` counts: bytes of UTF-8. */
export function byteLength(text: string): number {
  // Nearly every name is ASCII; encoding is needed only when some character takes more than one byte.
  // eslint-disable-next-line no-control-regex
  return /^[\x00-\x7f]*$/.test(text) ? text.length : UTF8.encode(text).length;
}

export const tooManyCharacters = (max: number): string => `must be no more than ${max} characters`;
const tooManyBytes = (max: number): string => `must be no more than ${max} bytes`;
export const outsideRange = (low: number, high: number): string => `must be between ${low} and ${high}, inclusive`;
const MUST_NOT_BE_EMPTY = 'must be non-empty';

/** Upstream joins examples by `, ` and ` or `, hence the two spaces in `'my-name',  or '123-abc', `. */
export function regexText(message: string, pattern: string, ...examples: string[]): string {
  if (examples.length === 0) return `${message} (regex used for validation is '${pattern}')`;
  const shown = examples.map((example) => `'${example}', `).join(' or ');
  return `${message} (e.g. ${shown}regex used for validation is '${pattern}')`;
}

interface Format {
  readonly whole: RegExp;
  readonly text: string;
}
const format = (pattern: string, message: string, ...examples: string[]): Format =>
  ({ whole: new RegExp(`^(?:${pattern})$`), text: regexText(message, pattern, ...examples) });

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const LABEL_UNDERSCORE = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const SUBDOMAIN_UNDERSCORE = `${LABEL_UNDERSCORE}(\\.${LABEL_UNDERSCORE})*`;
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const QUALIFIED_TEXT = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

const dnsLabelFormat = format(LABEL, "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character", 'my-name', '123-abc');
const subdomainFormat = format(SUBDOMAIN, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character", 'example.com');
const subdomainUnderscoreFormat = format(SUBDOMAIN_UNDERSCORE, "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character", 'example.com');
const qualifiedFormat = format(QUALIFIED, QUALIFIED_TEXT, 'MyName', 'my.name', '123-abc');
const labelValueFormat = format(`(${QUALIFIED})?`, "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", 'MyValue', 'my_value', '12345');
const configKeyFormat = format('[-._a-zA-Z0-9]+', "a valid config key must consist of alphanumeric characters, '-', '_' or '.'", 'key.name', 'KEY_NAME', 'key-name');
const headerFormat = format('[-A-Za-z0-9]+', "a valid HTTP header must consist of alphanumeric characters or '-'", 'X-Header-Name');
const percentFormat = format('[0-9]+%', "a valid percent string must be a numeric string followed by an ending '%'", '1%', '93%');

const matches = (value: string, { whole, text }: Format): string[] => (whole.test(value) ? [] : [text]);

/** At most 63 characters, no dots: namespaces, containers, volumes, host names. */
export function dnsLabelProblems(value: string): string[] {
  const problems = byteLength(value) > 63 ? [tooManyCharacters(63)] : [];
  if (!dnsLabelFormat.whole.test(value)) problems.push(subdomainFormat.whole.test(value) ? 'must not contain dots' : dnsLabelFormat.text);
  return problems;
}
/** At most 253 characters: the name of nearly every kind. */
export function dnsSubdomainProblems(value: string): string[] {
  return [...(byteLength(value) > 253 ? [tooManyCharacters(253)] : []), ...matches(value, subdomainFormat)];
}
export function dnsSubdomainWithUnderscoreProblems(value: string): string[] {
  return [...(byteLength(value) > 253 ? [tooManyCharacters(253)] : []), ...matches(value, subdomainUnderscoreFormat)];
}
const wildcardFormat = format(`\\*\\.${SUBDOMAIN}`, "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character", '*.example.com');
/** `*.` and a subdomain. */
export function wildcardSubdomainProblems(value: string): string[] {
  return [...(byteLength(value) > 253 ? [tooManyCharacters(253)] : []), ...matches(value, wildcardFormat)];
}
/** `acme.io/foo`. Source: IsDomainPrefixedPath. */
export function domainPrefixedPathProblems(value: string): string[] {
  const slash = value.indexOf('/');
  if (slash <= 0 || slash === value.length - 1) return ['must be a domain-prefixed path (such as "acme.io/foo")'];
  const domain = dnsSubdomainProblems(value.slice(0, slash));
  if (domain.length > 0) return domain.map((text) => `prefix part ${text}`);
  const path = value.slice(slash + 1);
  return /^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/.test(path) ? [] : [regexText('Invalid path', "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+")];
}

/** A label key: `name` or `prefix.example.com/name`. */
export function qualifiedNameProblems(value: string): string[] {
  const parts = value.split('/');
  if (parts.length > 2) {
    return [`a valid label key ${qualifiedFormat.text} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  const problems: string[] = [];
  const name = parts[parts.length - 1] ?? '';
  if (parts.length === 2) {
    const prefix = parts[0] ?? '';
    if (prefix === '') problems.push(`prefix part ${MUST_NOT_BE_EMPTY}`);
    // The prefix is measured by the rules of content/dns.go, which speak of bytes.
    else problems.push(...dnsSubdomainProblems(prefix).map((text) => `prefix part ${text === tooManyCharacters(253) ? tooManyBytes(253) : text}`));
  }
  if (name === '') problems.push(`name part ${MUST_NOT_BE_EMPTY}`);
  else if (byteLength(name) > 63) problems.push(`name part ${tooManyBytes(63)}`);
  if (!qualifiedFormat.whole.test(name)) problems.push(`name part ${qualifiedFormat.text}`);
  return problems;
}
export function labelValueProblems(value: string): string[] {
  return [...(byteLength(value) > 63 ? [tooManyBytes(63)] : []), ...matches(value, labelValueFormat)];
}

function parentFolderProblems(value: string): string[] {
  if (value === '.') return ["must not be '.'"];
  if (value === '..') return ["must not be '..'"];
  return value.startsWith('..') ? ["must not start with '..'"] : [];
}
/** A key of a ConfigMap or Secret. */
export function configKeyProblems(value: string): string[] {
  return [...(byteLength(value) > 253 ? [tooManyCharacters(253)] : []), ...matches(value, configKeyFormat), ...parentFolderProblems(value)];
}
/** Name of an environment variable: printable ASCII without `=` (RelaxedEnvironmentVariableValidation). */
export function environmentNameProblems(value: string): string[] {
  if (value === '') return [`environment variable name ${MUST_NOT_BE_EMPTY}`];
  return /^[\x20-\x3c\x3e-\x7e]*$/.test(value) ? [] : ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
}
export const httpHeaderNameProblems = (value: string): string[] => matches(value, headerFormat);
export const percentProblems = (value: string): string[] => matches(value, percentFormat);

/** Name of a container port (IANA service name). */
export function portNameProblems(value: string): string[] {
  const problems = byteLength(value) > 15 ? [tooManyCharacters(15)] : [];
  if (!/^[-a-z0-9]+$/.test(value)) problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(value)) problems.push('must contain at least one letter (a-z)');
  if (value.includes('--')) problems.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) problems.push('must not begin or end with a hyphen');
  return problems;
}
export function portNumberProblems(value: number): string[] {
  return value >= 1 && value <= 65_535 ? [] : [outsideRange(1, 65_535)];
}
/** A user or group id. */
export function idProblems(value: number): string[] {
  return value >= 0 && value <= 2_147_483_647 ? [] : [outsideRange(0, 2_147_483_647)];
}

/** What every name must satisfy, whatever its kind: it has to fit one segment of a path. */
export function pathSegmentProblems(value: string): string[] {
  if (value === '.' || value === '..') return [`may not be '${value}'`];
  return ['/', '%'].filter((part) => value.includes(part)).map((part) => `may not contain '${part}'`);
}

/** A check of generateName: the trailing dash that random letters will follow is no problem. */
export function asPrefix(check: (name: string) => string[]): (prefix: string) => string[] {
  return (prefix) => check(prefix.length > 1 && prefix.endsWith('-') ? `${prefix.slice(0, -2)}a` : prefix);
}
