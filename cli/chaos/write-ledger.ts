// What a writer was told about each object: what must be there at the end, what must not, and what may.

/** Undefined: the object is not there. */
type Value = string | undefined;

export class WriteLedger {
  /** Acknowledged last, and nothing asked since. */
  readonly #certain = new Map<string, Value>();
  /** A request about it had no answer, or an error: done or not, now or later. It is not touched again. */
  readonly #doubtful = new Map<string, readonly Value[]>();

  acknowledged(name: string, value: Value): void {
    this.#certain.set(name, value);
  }

  doubtful(name: string, value: Value): void {
    this.#doubtful.set(name, [this.#certain.get(name), value]);
    this.#certain.delete(name);
  }

  get size(): number {
    return this.#certain.size + this.#doubtful.size;
  }

  /** One line for each object that is not as it must be; `found`: all there are. */
  contradictions(found: ReadonlyMap<string, string>): string[] {
    const wrong: string[] = [];
    for (const [name, value] of this.#certain) {
      const seen = found.get(name);
      if (seen === value) continue;
      wrong.push(value === undefined ? `${name} was deleted, and is there` : seen === undefined ? `${name} is lost` : `${name} has ${seen}, not ${value}`);
    }
    for (const [name, values] of this.#doubtful) {
      const seen = found.get(name);
      if (!values.includes(seen)) wrong.push(`${name} ${seen === undefined ? 'is lost' : `has ${seen}`}, not ${values.map((value) => value ?? 'none').join(' or ')}`);
    }
    for (const name of found.keys()) if (!this.#certain.has(name) && !this.#doubtful.has(name)) wrong.push(`${name} was never written`);
    return wrong;
  }
}
