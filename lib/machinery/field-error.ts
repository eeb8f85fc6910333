// Validation errors of single fields, with the types and texts of apimachinery's util/validation/field.

export type FieldErrorType =
  | 'FieldValueNotFound' | 'FieldValueRequired' | 'FieldValueDuplicate' | 'FieldValueInvalid'
  | 'FieldValueNotSupported' | 'FieldValueForbidden' | 'FieldValueTooLong' | 'FieldValueTooMany'
  | 'FieldValueTypeInvalid' | 'InternalError';

export interface FieldError {
  readonly type: FieldErrorType;
  /** Path such as `spec.containers[0].image`. */
  readonly field: string;
  /** Everything after the path: `Required value: must be set`. */
  readonly body: string;
}

/** `spec.replicas: Invalid value: -1: must be greater than or equal to 0` */
export function fieldErrorText(error: FieldError): string {
  return `${error.field}: ${error.body}`;
}

/** A value as Go's %#v-like rendering in field errors: strings quoted, others as JSON. */
function shown(value: unknown): string {
  return value === undefined ? 'null' : JSON.stringify(value);
}

const withDetail = (body: string, detail: string): string => (detail === '' ? body : `${body}: ${detail}`);

export function required(field: string, detail = ''): FieldError {
  return { type: 'FieldValueRequired', field, body: withDetail('Required value', detail) };
}
export function invalid(field: string, value: unknown, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, body: withDetail(`Invalid value: ${shown(value)}`, detail) };
}
export function duplicate(field: string, value: unknown): FieldError {
  return { type: 'FieldValueDuplicate', field, body: `Duplicate value: ${shown(value)}` };
}
export function notFound(field: string, value: unknown): FieldError {
  return { type: 'FieldValueNotFound', field, body: `Not found: ${shown(value)}` };
}
export function notSupported(field: string, value: unknown, supported: readonly string[]): FieldError {
  const list = [...supported].sort().map((one) => JSON.stringify(one)).join(', ');
  return { type: 'FieldValueNotSupported', field, body: withDetail(`Unsupported value: ${shown(value)}`, list === '' ? '' : `supported values: ${list}`) };
}
export function forbidden(field: string, detail: string): FieldError {
  return { type: 'FieldValueForbidden', field, body: withDetail('Forbidden', detail) };
}
export function tooLong(field: string, maxLength: number): FieldError {
  return { type: 'FieldValueTooLong', field, body: `Too long: may not be more than ${maxLength} bytes` };
}
export function tooMany(field: string, actual: number, max: number): FieldError {
  return { type: 'FieldValueTooMany', field, body: `Too many: ${actual}: must have at most ${max} items` };
}
export function typeInvalid(field: string, value: unknown, detail: string): FieldError {
  return { type: 'FieldValueTypeInvalid', field, body: withDetail(`Invalid value: ${shown(value)}`, detail) };
}
