// Which span is being worked on, through promises.
// AsyncLocalStorage would do it too, but from its first use on it makes every promise of the process dearer (a cluster's start
// takes 9 % more CPU with it on Node 20, where it stands on async_hooks); this one only those made while a span is worked on.
import { promiseHooks } from 'node:v8';
import { ROOT_CONTEXT, type Context, type ContextManager } from '@opentelemetry/api';

const CONTEXT = Symbol('context');
type Marked = Promise<unknown> & { [CONTEXT]?: Context };

/**
 * What is awaited keeps its context; so does what a promise's callbacks do. Timers and listeners have none, unless `bind` gives
 * it to them: in this they differ from what AsyncLocalStorage does.
 */
export class PromiseContextManager implements ContextManager {
  #current: Context | undefined;
  #works = 0;
  #unhook: (() => void) | undefined;

  active(): Context {
    return this.#current ?? ROOT_CONTEXT;
  }
  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(context: Context, run: F, self?: ThisParameterType<F>, ...args: A): ReturnType<F> {
    const outer = this.#current;
    this.#begin(context);
    let result: ReturnType<F> | undefined;
    try {
      result = run.apply(self, args);
    } finally {
      this.#current = outer;
      if (!(result instanceof Promise)) this.#end();
    }
    return result instanceof Promise ? result.finally(() => this.#end()) as ReturnType<F> : result;
  }
  bind<T>(context: Context, target: T): T {
    if (typeof target !== 'function') return target;
    return ((...args: unknown[]) => this.with(context, () => target(...args) as unknown)) as T;
  }
  enable(): this {
    return this;
  }
  disable(): this {
    this.#unhook?.();
    this.#unhook = undefined;
    this.#current = undefined;
    return this;
  }

  #begin(context: Context): void {
    this.#works += 1;
    this.#current = context;
    this.#unhook ??= promiseHooks.createHook({
      init: (promise: Marked) => {
        if (this.#current !== undefined) promise[CONTEXT] = this.#current;
      },
      before: (promise: Marked) => {
        this.#current = promise[CONTEXT];
      },
      after: () => {
        this.#current = undefined;
      },
    }) as () => void;
  }

  #end(): void {
    this.#works -= 1;
    if (this.#works === 0) this.disable(); // what goes on of it is no part of any span
  }
}
