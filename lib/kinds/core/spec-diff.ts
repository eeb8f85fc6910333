// A readable difference of two specs in the manner of go-cmp, for the error that says what may not change.

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
/** Go names its fields with a capital letter. */
const goName = (key: string): string => (/^\d+$/.test(key) ? '' : `${key.charAt(0).toUpperCase()}${key.slice(1)}: `);

function lines(previous: unknown, next: unknown, depth: number): string[] {
  const indent = '\t'.repeat(depth);
  const keys = [...new Set([...Object.keys(isObject(previous) ? previous : {}), ...Object.keys(isObject(next) ? next : {})])].sort();
  let identical = 0;
  const result: string[] = [];
  for (const key of keys) {
    const [old, own] = [isObject(previous) ? previous[key] : undefined, isObject(next) ? next[key] : undefined];
    if (JSON.stringify(old) === JSON.stringify(own)) {
      identical += 1;
    } else if (isObject(old) && isObject(own)) {
      result.push(`  ${indent}${goName(key)}{`, ...lines(old, own, depth + 1), `  ${indent}},`);
    } else {
      if (old !== undefined) result.push(`- ${indent}${goName(key)}${JSON.stringify(old)},`);
      if (own !== undefined) result.push(`+ ${indent}${goName(key)}${JSON.stringify(own)},`);
    }
  }
  if (identical > 0) result.push(`  ${indent}... // ${identical} identical ${identical === 1 ? 'field' : 'fields'}`);
  return result;
}

/** `- ` was, `+ ` would be. */
export function goDiff(previous: object, next: object, typeName: string): string {
  return [`  ${typeName}{`, ...lines(previous, next, 1), '  }', ''].join('\n');
}
