// A flag with a fraction: rates and thresholds.
import { FlagError, type Flag } from '#lib/service/flags.ts';

export const float = (options: { readonly help: string; readonly default: number }): Flag<number> => ({
  help: options.help, fallback: options.default, isBoolean: false, unit: '',
  parse: (value) => {
    const number = Number(value);
    if (value.trim() === '' || !Number.isFinite(number)) throw new FlagError(`invalid argument "${value}": must be a number`);
    return number;
  },
});
