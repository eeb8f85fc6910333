// Checks of a reference to an object of any kind in the same namespace.
import { required, type FieldError } from '#lib/machinery/field-error.ts';
import { dnsSubdomainProblems, pathSegmentProblems } from '#lib/machinery/names.ts';
import { checked } from '#lib/machinery/object-meta.ts';

interface TypedReference {
  readonly apiGroup?: string | undefined;
  readonly kind?: string | undefined;
  readonly name?: string | undefined;
}

export function validateTypedReference({ apiGroup, kind, name }: TypedReference, path: string): FieldError[] {
  return [
    ...(apiGroup === undefined ? [] : checked(`${path}.apiGroup`, apiGroup, dnsSubdomainProblems)),
    ...(kind ? checked(`${path}.kind`, kind, pathSegmentProblems) : [required(`${path}.kind`)]),
    ...(name ? checked(`${path}.name`, name, pathSegmentProblems) : [required(`${path}.name`)]),
  ];
}
