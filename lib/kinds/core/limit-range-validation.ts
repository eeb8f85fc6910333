// Checks of LimitRanges. Source: pkg/apis/core/validation (ValidateLimitRange).
import { duplicate, forbidden, invalid, required, type FieldError } from '#lib/machinery/field-error.ts';
import { qualifiedNameProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';
import { compareQuantities, milliValue } from '#lib/machinery/quantity.ts';
import type { LimitRange, LimitRangeItem } from '../types/core-v1.ts';
import { allowsOvercommit, validateAmount } from './resource-validation.ts';

const TYPES = ['Pod', 'Container', 'PersistentVolumeClaim'];

function validateType(type: string | undefined, path: string): FieldError[] {
  const errors = checked(path, type ?? '', qualifiedNameProblems);
  if (errors.length > 0) return errors;
  return !type?.includes('/') && !TYPES.includes(type ?? '') ? [invalid(path, type ?? '', 'must be a standard limit type or fully qualified')] : [];
}

type Amounts = Readonly<Record<string, string>>;

/** `left` of a resource must not be above `right` of it. */
function order(left: string | undefined, right: string | undefined, error: () => FieldError): FieldError[] {
  return left !== undefined && right !== undefined && compareQuantities(left, right) > 0 ? [error()] : [];
}

function validateRatio(name: string, { min, max, maxLimitRequestRatio: ratios = {} }: LimitRangeItem, path: string): FieldError[] {
  const ratio = ratios[name];
  if (ratio === undefined) return [];
  const at = `${path}.maxLimitRequestRatio[${name}]`;
  const errors: FieldError[] = compareQuantities(ratio, '1') < 0 ? [invalid(at, ratio, `ratio ${ratio} is less than 1`)] : [];
  const [least, most] = [milliValue(min?.[name]), milliValue(max?.[name])];
  if (least > 0 && max?.[name] !== undefined && milliValue(ratio) / 1000 > most / least) {
    errors.push(invalid(at, ratio, `ratio ${ratio} is greater than max/min = ${(most / least).toFixed(6)}`));
  }
  return errors;
}

function validateResource(name: string, item: LimitRangeItem, path: string): FieldError[] {
  const { min = {}, max = {}, default: limit = {}, defaultRequest: request = {} } = item as { min?: Amounts; max?: Amounts; default?: Amounts; defaultRequest?: Amounts };
  const [least, most, usual, asked] = [min[name], max[name], limit[name], request[name]];
  const [atMin, atRequest, atLimit] = [`${path}.min[${name}]`, `${path}.defaultRequest[${name}]`, `${path}.default[${name}]`];
  const errors = [
    ...order(least, most, () => invalid(atMin, least, `min value ${least} is greater than max value ${most}`)),
    ...order(least, asked, () => invalid(atRequest, asked, `min value ${least} is greater than default request value ${asked}`)),
    ...order(asked, most, () => invalid(atRequest, asked, `default request value ${asked} is greater than max value ${most}`)),
    ...order(asked, usual, () => invalid(atRequest, asked, `default request value ${asked} is greater than default limit value ${usual}`)),
    ...order(least, usual, () => invalid(atLimit, least, `min value ${least} is greater than default value ${usual}`)),
    ...order(usual, most, () => invalid(atLimit, most, `default value ${usual} is greater than max value ${most}`)),
    ...validateRatio(name, item, path),
  ];
  if (!allowsOvercommit(name) && (usual !== undefined || asked !== undefined) && compareQuantities(usual ?? '0', asked ?? '0') !== 0) {
    errors.push(invalid(atRequest, asked ?? null, `default value ${usual ?? '0'} must equal to defaultRequest value ${asked ?? '0'} in ${name}`));
  }
  return errors;
}

function validateItem(item: LimitRangeItem, path: string): FieldError[] {
  const errors = validateType(item.type, `${path}.type`);
  const lists = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;
  for (const list of lists) {
    const isForbidden = item.type === 'Pod' && (list === 'default' || list === 'defaultRequest');
    if (isForbidden && Object.keys(item[list] ?? {}).length > 0) errors.push(forbidden(`${path}.${list}`, "may not be specified when `type` is 'Pod'"));
    if (!isForbidden) for (const [name, amount] of Object.entries(item[list] ?? {})) errors.push(...validateAmount(name, amount, `${path}.${list}[${name}]`));
  }
  if (item.type === 'PersistentVolumeClaim' && item.min?.['storage'] === undefined && item.max?.['storage'] === undefined) {
    errors.push(required(`${path}.limits`, 'either minimum or maximum storage value is required, but neither was provided'));
  }
  const names = new Set(lists.flatMap((list) => Object.keys(item[list] ?? {})));
  return [...errors, ...[...names].flatMap((name) => validateResource(name, item, path))];
}

export function validateLimitRange({ spec }: LimitRange): FieldError[] {
  const seen = new Set<string>();
  return spec.limits.flatMap((item, index) => {
    const path = `spec.limits[${index}]`;
    const errors = seen.has(item.type) ? [duplicate(`${path}.type`, item.type)] : [];
    seen.add(item.type);
    return [...validateItem(item, path), ...errors];
  });
}
