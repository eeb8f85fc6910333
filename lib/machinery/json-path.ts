// Simple JSON paths, those of custom resources: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`, `.items[0]`.
// Source: apiextensions-apiserver pkg/registry/customresource/tableconvertor; client-go util/jsonpath (the part it uses).

type Step = { readonly is: 'field'; readonly name: string } | { readonly is: 'index'; readonly index: number } | { readonly is: 'all' }
  | { readonly is: 'where'; readonly field: string; readonly value: string };

const STEP = /\.([A-Za-z0-9_$/-]+(?:\\\.[A-Za-z0-9_$/-]+)*)|\[(-?\d+)\]|\[(\*)\]|\['((?:[^'\\]|\\.)+)'\]|\[\?\(@\.([A-Za-z0-9_.-]+)\s*==\s*["']([^"']*)["']\)\]/y;

/** Undefined: not a path that is understood. */
export function parsePath(text: string): readonly Step[] | undefined {
  const steps: Step[] = [];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < text.length) {
    const match = STEP.exec(text);
    if (!match) return undefined;
    const [, field, index, all, quoted, whereField, value] = match;
    if (field !== undefined || quoted !== undefined) steps.push({ is: 'field', name: (field ?? quoted ?? '').replaceAll('\\', '') });
    else if (index !== undefined) steps.push({ is: 'index', index: Number(index) });
    else if (all !== undefined) steps.push({ is: 'all' });
    else steps.push({ is: 'where', field: whereField ?? '', value: value ?? '' });
  }
  return steps;
}

const memberOf = (value: unknown, name: string): unknown =>
  (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined);

/** Every value that the path leads to. */
export function valuesAt(root: unknown, steps: readonly Step[]): unknown[] {
  let values: unknown[] = [root];
  for (const step of steps) {
    values = values.flatMap((value): unknown[] => {
      switch (step.is) {
        case 'field': return [memberOf(value, step.name)];
        case 'index': return Array.isArray(value) ? [value.at(step.index)] : [];
        case 'all': return Array.isArray(value) ? value : [];
        case 'where': return Array.isArray(value) ? value.filter((item) => step.field.split('.').reduce<unknown>(memberOf, item) === step.value) : [];
      }
    }).filter((value) => value !== undefined && value !== null);
  }
  return values;
}

/** Makes the objects on the way. Only paths of plain fields. */
export function setAt(root: object, steps: readonly Step[], value: unknown): void {
  let at = root as Record<string, unknown>;
  steps.forEach((step, index) => {
    if (step.is !== 'field' || step.name === '__proto__') return;
    if (index === steps.length - 1) at[step.name] = value;
    else at = (memberOf(at, step.name) === undefined ? (at[step.name] = {}) : at[step.name]) as Record<string, unknown>;
  });
}
