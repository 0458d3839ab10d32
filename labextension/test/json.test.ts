import assert from 'node:assert/strict';
import { test } from 'node:test';

import { jsonProblem, objectProblem } from '../src/json';

test('what is not JSON has one reason in every browser: what is expected, and in which line', () => {
  const reasons: [string, string | null][] = [
    ['{"a": 1}', null],
    ['{"a": 1', 'expected }'],
    ['{"a": [1, 2', 'expected ]'],
    ['{"a": 1 "b": 2}', 'expected , or }'],
    ['{"a" 1}', 'expected :'],
    ['{"a": }', 'expected a value'],
    ['{"a": 1,}', 'expected a name in double quotes'],
    ['{a: 1}', 'expected a name in double quotes or }'],
    ["['a']", 'expected a value or ]'],
    ['[1, TRUE]', 'expected a value'],
    ['[01]', 'expected , or ]'],
    ['{"a": "b}', 'expected " at the end of a text'],
    ['["\\x"]', 'expected " at the end of a text'],
    ['{} {}', 'expected nothing more'],
    ['', 'expected a value'],
    ['{\n  "a": 1,\n  "b": x\n}', 'expected a value in line 3']
  ];
  for (const [text, reason] of reasons) {
    assert.equal(jsonProblem(text), reason, text);
  }
  assert.deepEqual(
    [objectProblem('[1]'), objectProblem(''), objectProblem(' {} ')],
    ['expected {', 'expected {', null]
  );
});

test('a text with one character more or less is valid for the browser and for the scanner, or for neither', () => {
  const text = '{"a": [1, -2.5e3, true], "b\\u00e9\\n": {"c": "d \u007f \ud83d\ude42"}, "e": null}';
  const others = ['{', '}', '[', ']', ',', ':', '"', '0', '-', 'e', '.', 'x', ' ', '\n', '\u0000', '\\'];
  const isJson = (changed: string): boolean => {
    try {
      JSON.parse(changed);
      return true;
    } catch {
      return false;
    }
  };
  for (let at = 0; at <= text.length; at++) {
    const [before, rest] = [text.slice(0, at), text.slice(at)];
    for (const changed of [before + rest.slice(1), ...others.map(one => before + one + rest)]) {
      assert.equal(jsonProblem(changed) === null, isJson(changed), changed);
    }
  }
});
