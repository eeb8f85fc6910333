// What fails again and again is told twice: when it begins to fail, and when it works again.
import { trace, type Attributes, type Tracer } from '@opentelemetry/api';
import { attribute } from './attributes.ts';
import { noteSpan } from './in-span.ts';
import { wallClock } from './wall-clock.ts';

export class FailureStreak {
  readonly #tracer: Tracer;
  readonly #what: string;
  readonly #attributes: Attributes;
  #sinceMs: number | undefined;
  #times = 0;

  /** `what`: `renew lease`; told as `cannot renew lease`. */
  constructor(scope: string, what: string, attributes: Attributes) {
    this.#tracer = trace.getTracer(scope);
    this.#what = what;
    this.#attributes = attributes;
  }

  failed(error: unknown): void {
    this.#times += 1;
    if (this.#sinceMs !== undefined) return;
    this.#sinceMs = wallClock.nowMs();
    noteSpan(this.#tracer, `cannot ${this.#what}`, { attributes: this.#attributes }, error);
  }

  worked(): void {
    if (this.#sinceMs === undefined) return;
    const seconds = ((wallClock.nowMs() - this.#sinceMs) / 1000).toFixed(1);
    noteSpan(this.#tracer, `can ${this.#what} again`, { startTime: this.#sinceMs, attributes: { ...this.#attributes, [attribute.what]: `${this.#times} failures in ${seconds} s` } });
    this.#sinceMs = undefined;
    this.#times = 0;
  }
}
