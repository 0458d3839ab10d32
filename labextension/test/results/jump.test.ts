import assert from 'node:assert/strict';
import { test } from 'node:test';

import { findPlaces, placeIn } from '../../src/results/jump';

test('a place of the program is found in the cell, and stays in it', () => {
  assert.deepEqual(placeIn('\n%%pctx -q\na\nbc', { line: 2, column: 2 }), { line: 3, column: 1 });
  assert.deepEqual(placeIn('%%pctx\na', { line: 9, column: 9 }), { line: 1, column: 1 });
  assert.deepEqual(placeIn('', { line: 1, column: 1 }), { line: 0, column: 0 });
});

test('the place of an error is the line that says so, the first of them', () => {
  const text = 'Error: at line 9, column 9\n  at line 3, column 12\n\n> 3 | x\n  at line 1, column 1';
  const [found, ...others] = findPlaces(text);
  assert.deepEqual(others, []);
  assert.deepEqual([found?.line, found?.column], [3, 12]);
  assert.equal(text.slice(found?.from, found?.to), 'at line 3, column 12');
  for (const other of ['', 'at line 3, column 1', '  at line 3', '  at line 3, column 1 of it']) {
    assert.deepEqual(findPlaces(other), []);
  }
});

test('each of several problems has its own place', () => {
  const text =
    'TypeError: no x\n  at line 3, column 12\n\n> 3 | x\n\nline 5, column 2: no y\nline 7, column 1: line 9, column 9: no z';
  const found = findPlaces(text);
  assert.deepEqual(
    found.map(({ line, column, from, to }) => [line, column, text.slice(from, to)]),
    [
      [3, 12, 'at line 3, column 12'],
      [5, 2, 'line 5, column 2'],
      [7, 1, 'line 7, column 1']
    ]
  );
  assert.equal(findPlaces('line 1, column 1: x\n'.repeat(1000)).length, 20);
});
