// A quantity of CPU or memory on the command line.
import { parseQuantity, QuantityError } from '#lib/machinery/quantity.ts';
import { UserError } from '../user-error.ts';

/** For commander: takes the text of the option `name`, which has to be a quantity above zero. */
export const quantity = (name: string) => (text: string): string => {
  try {
    if (parseQuantity(text).nanos > 0n) return text;
  } catch (error) {
    if (!(error instanceof QuantityError)) throw error;
  }
  throw new UserError(`${name} must be a quantity above 0 such as 2, 1500m or 4Gi, not "${text}"`, 2);
};
