import assert from 'node:assert/strict';
import { test } from 'node:test';

import { difference, samePlace } from '../../src/cells/layout';

test('as little as possible is replaced', () => {
  assert.equal(difference('a b', 'a b'), null);
  for (const [before, after] of [
    ['let x=1', 'let x = 1;'],
    ['', 'a'],
    ['a', ''],
    ['aaa', 'aa'],
    ['abc\ndef', 'abc\n  def']
  ] as const) {
    const change = difference(before, after);
    assert.ok(change);
    assert.equal(before.slice(0, change.from) + change.insert + before.slice(change.to), after);
    assert.ok(change.to - change.from <= before.length && change.insert.length <= after.length);
  }
});

test('the cursor stays behind the same letters', () => {
  const place = (before: string, after: string): string => {
    const at = samePlace(before.replace('|', ''), before.indexOf('|'), after);
    return `${after.slice(0, at)}|${after.slice(at)}`;
  };
  assert.equal(place('a.map( x=>x| )', 'a.map((x) => x);'), 'a.map((x) => x|);');
  assert.equal(place('|let x=1', 'let x = 1;'), '|let x = 1;');
  assert.equal(place('f(|a)', 'f(a);'), 'f(|a);');
  assert.equal(place('x=1|', 'x = 1;'), 'x = 1|;');
  assert.equal(place('x=1\n|', 'x = 1;'), 'x = 1;|');
});
