// Names that jobs put on their pods, and the notation for sets of indexes.

export const JOB_LABELS = {
  controllerUid: 'batch.kubernetes.io/controller-uid',
  jobName: 'batch.kubernetes.io/job-name',
  oldControllerUid: 'controller-uid',
  oldJobName: 'job-name',
} as const;

/** How many indexes `1,3-5` names, each below `completions`; or what is wrong with it. Source: validateIndexesFormat. */
export function intervals(text: string, completions: number): number | string {
  if (text === '') return 0;
  let last: number | undefined;
  let total = 0;
  for (const interval of text.split(',')) {
    const limits = interval.split('-');
    if (limits.length > 2) return `the fragment ${JSON.stringify(interval)} violates the requirement that an index interval can have at most two parts separated by '-'`;
    const numbers: number[] = [];
    for (const limit of limits) {
      if (!/^\d+$/.test(limit)) return `cannot convert string to integer for index: ${JSON.stringify(limit)}`;
      const index = Number(limit);
      if (index >= completions) return `too large index: ${JSON.stringify(limit)}`;
      if (last !== undefined && last >= index) return `non-increasing order, previous: ${last}, current: ${index}`;
      last = index;
      numbers.push(index);
    }
    const [low = 0, high = low] = numbers;
    total += high - low + 1;
  }
  return total;
}
