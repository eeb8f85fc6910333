// Finds the JSON objects in a stream of bytes: they may follow one another with anything blank, or nothing, in between.
import { StringDecoder } from 'node:string_decoder';
import { JsonError } from '#lib/etcd-api/json.ts';

/** Deepest nesting of objects and lists; a Txn of etcd does not come near. */
const MAX_DEPTH = 1000;

export class JsonSplitter {
  private readonly decoder = new StringDecoder('utf8');
  private readonly maxLength: number;
  private text = '';
  private at = 0;
  private depth = 0;
  private inString = false;

  /** `maxLength`: of one object, in characters. */
  constructor(maxLength: number) {
    this.maxLength = maxLength;
  }

  /** Yields the objects that are complete. Throws JsonError. */
  *push(chunk: Buffer): Generator<string, void> {
    this.text += this.decoder.write(chunk);
    for (; this.at < this.text.length; this.at += 1) {
      const character = this.text[this.at];
      if (this.inString) {
        if (character === '\\') this.at += 1;
        else if (character === '"') this.inString = false;
      } else if (character === '"') this.inString = true;
      else if (character === '{' || character === '[') {
        this.depth += 1;
        if (this.depth > MAX_DEPTH) throw new JsonError('exceeded max depth');
      }
      else if (character === '}' || character === ']') this.depth -= 1;
      if (this.depth === 0 && !this.inString && /[^\s]/.test(character ?? ' ')) {
        if (character !== '}' && character !== ']') throw new JsonError(unexpected(this.text.slice(0, this.at + 1).trimStart()));
        yield this.text.slice(0, this.at + 1);
        this.text = this.text.slice(this.at + 1);
        this.at = -1;
      }
    }
    if (this.text.length > this.maxLength) throw new JsonError('request is too large');
  }

  /** Throws JsonError when an object is cut off. */
  end(): void {
    if (this.text.trim() !== '') throw new JsonError('unexpected EOF');
  }
}

/** Of what begins as a value that is no object, or as none. */
function unexpected(text: string): string {
  return /^["\d-]/.test(text) ? `proto: syntax error (line 1:1): unexpected token ${text}` : `invalid character '${text[0] ?? ''}' looking for beginning of value`;
}
