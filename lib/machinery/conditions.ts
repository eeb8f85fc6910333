// Conditions in the status of objects, whatever their kind.

/** Whether the condition is there, and True. */
export const isConditionTrue = (conditions: readonly { readonly type: string; readonly status: string }[] | undefined, wanted: string): boolean =>
  conditions?.some(({ type, status }) => type === wanted && status === 'True') ?? false;
