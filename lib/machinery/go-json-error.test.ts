import assert from 'node:assert/strict';
import { test } from 'node:test';
import { goJsonError } from './go-json-error.ts';

const said = (text: string): string => {
  try {
    JSON.parse(text);
  } catch (error) {
    return goJsonError(text, error);
  }
  return 'nothing';
};

// Taken from Go 1.24, json.Unmarshal into a RawMessage.
for (const [text, words] of [
  ['', 'unexpected end of JSON input'], ['{', 'unexpected end of JSON input'], ['{"a"', 'unexpected end of JSON input'], ['{"a":', 'unexpected end of JSON input'], ['{"a":1', 'unexpected end of JSON input'],
  ['[1', 'unexpected end of JSON input'], ['"a', 'unexpected end of JSON input'], ['-', 'invalid character \' \' in numeric literal'], ['1.', 'invalid character \' \' after decimal point in numeric literal'],
  ['{"a" 1}', 'invalid character \'1\' after object key'], ['{"a":1 "b":2}', 'invalid character \'"\' after object key:value pair'], ['[1 2]', 'invalid character \'2\' after array element'],
  ['{a:1}', 'invalid character \'a\' looking for beginning of object key string'], ['{"a":1,}', 'invalid character \'}\' looking for beginning of object key string'],
  ['{\'a\':1}', 'invalid character \'\\\'\' looking for beginning of object key string'], ['{} x', 'invalid character \'x\' after top-level value'], ['x', 'invalid character \'x\' looking for beginning of value'],
  ['{"a":}', 'invalid character \'}\' looking for beginning of value'], ['[1,]', 'invalid character \']\' looking for beginning of value'], ['"a\nb"', 'invalid character \'\\n\' in string literal'],
  ['"\\x"', 'invalid character \'x\' in string escape code'], ['-a', 'invalid character \'a\' in numeric literal'],
  ['1.x', 'invalid character \'x\' after decimal point in numeric literal'], ['1ex', 'invalid character \'x\' in exponent of numeric literal'],
  ['"\\u12x"', 'invalid character \'x\' in \\u hexadecimal character escape'],
] as const) {
  test(`${JSON.stringify(text)}: ${words}`, () => assert.equal(said(text), words));
}
