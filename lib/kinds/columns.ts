// Columns that many kinds share, and the texts of cells. Source: pkg/printers/internalversion/printers.go.
import { ageOf } from '#lib/machinery/human-duration.ts';
import { labelSelectorText } from '#lib/machinery/selectors.ts';
import type { Column, KubernetesObject } from './define-kind.ts';
import type { Container, PodTemplateSpec } from './types/core-v1.ts';
import type { LabelSelector } from './types/meta-v1.ts';

export const NONE = '<none>';

export function nameColumn<T extends KubernetesObject>(): Column<T> {
  return { name: 'Name', type: 'string', format: 'name', value: ({ metadata }) => metadata.name };
}
export function ageColumn<T extends KubernetesObject>(): Column<T> {
  return { name: 'Age', type: 'string', value: ({ metadata }, nowMs) => ageOf(metadata.creationTimestamp, nowMs) };
}
/** Text; priority 1 is shown only with `-o wide`. */
export function textColumn<T>(name: string, value: (object: T, nowMs: number) => string, priority = 0): Column<T> {
  return { name, type: 'string', priority, value };
}
export function countColumn<T>(name: string, value: (object: T) => number | undefined, priority = 0): Column<T> {
  return { name, type: 'integer', priority, value: (object) => value(object) ?? 0 };
}

export const joined = (items: readonly string[] | undefined): string => (items ?? []).join(',');
export const orNone = (text: string | undefined): string => (text === undefined || text === '' ? NONE : text);

/** `a=1,b=2`, sorted; `<none>` when empty. */
export function labelsText(labels: Readonly<Record<string, string>> | undefined): string {
  return orNone(Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`).sort().join(','));
}

const containersOf = (template: Readonly<PodTemplateSpec> | undefined): readonly Container[] => template?.spec?.containers ?? [];
/** The two wide columns of everything that holds a pod template. */
export function templateColumns<T>(templateOf: (object: T) => PodTemplateSpec | undefined): Column<T>[] {
  return [
    textColumn('Containers', (object) => joined(containersOf(templateOf(object)).map(({ name }) => name)), 1),
    textColumn('Images', (object) => joined(containersOf(templateOf(object)).map(({ image }) => image ?? '')), 1),
  ];
}

/** The wide column with a label selector; `<none>` when empty. */
export function selectorColumn<T>(selectorOf: (object: T) => LabelSelector | undefined): Column<T> {
  return textColumn('Selector', (object) => labelSelectorText(selectorOf(object)), 1);
}
/** The first three of many: `a,b,c + 2 more...`. */
export function firstThree(items: readonly string[], whenEmpty: string): string {
  if (items.length === 0) return whenEmpty;
  return `${items.slice(0, 3).join(',')}${items.length > 3 ? ` + ${items.length - 3} more...` : ''}`;
}
