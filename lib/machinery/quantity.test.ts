import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addQuantities, canonicalQuantity, compareQuantities, formatQuantity, integerValue, milliValue, parseQuantity } from './quantity.ts';

for (const [text, canonical] of [
  ['0', '0'], ['1', '1'], ['1000m', '1'], ['0.5', '500m'], ['1500m', '1500m'], ['1.5', '1500m'], ['100000', '100k'], ['1024Mi', '1Gi'], ['1.5Gi', '1536Mi'],
  ['0.5Ki', '512'], ['1023Ki', '1023Ki'], ['1e3', '1e3'], ['1E3', '1e3'], ['12e6', '12e6'], ['1E', '1E'], ['-5', '-5'], ['+5', '5'], ['.5', '500m'], ['5.', '5'],
  ['0.0000000001', '1n'], ['1u', '1u'], ['128974848', '128974848'], ['129e6', '129e6'], ['123Mi', '123Mi'], ['9999999999999999999999', '9223372036854775807'],
] as const) {
  test(`the quantity ${text} is written as ${canonical}`, () => {
    assert.equal(canonicalQuantity(text), canonical);
  });
}

test('a JSON number is a quantity', () => {
  assert.equal(canonicalQuantity(0.1), '100m');
  assert.equal(canonicalQuantity(2), '2');
});

for (const [text, message] of [
  ['', "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
  ['abc', "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
  ['1 Gi', "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"],
  ['1i', "unable to parse quantity's suffix"],
  ['1mi', "unable to parse quantity's suffix"],
  ['1e', "unable to parse quantity's suffix"],
] as const) {
  test(`"${text}" is no quantity`, () => {
    assert.throws(() => parseQuantity(text), { name: 'QuantityError', message });
  });
}

test('counts are rounded away from zero', () => {
  assert.equal(milliValue('0.1'), 100);
  assert.equal(milliValue('100u'), 1);
  assert.equal(integerValue('1500m'), 2);
  assert.equal(integerValue('-1500m'), -2);
  assert.equal(integerValue('64Mi'), 67_108_864);
  assert.equal(integerValue(undefined), 0);
});

test('quantities of different notation compare and add by amount', () => {
  assert.equal(compareQuantities('1Gi', '1G') > 0, true);
  assert.equal(compareQuantities('1000m', '1'), 0);
  assert.equal(formatQuantity(addQuantities(parseQuantity('1Gi'), parseQuantity('512Mi'))), '1536Mi');
  assert.equal(formatQuantity(addQuantities(parseQuantity('0'), parseQuantity('512Mi'))), '512Mi');
});

test('an absurd exponent costs no memory', () => {
  assert.equal(canonicalQuantity('1e999999999'), '9223372036854775807');
  assert.equal(canonicalQuantity('1e-999999'), '1e-9');
});
