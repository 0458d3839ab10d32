import assert from 'node:assert/strict';
import { test } from 'node:test';

import { foldedText } from '../../src/results/console';

test('a long message is folded to its beginning, and a short one is shown whole', () => {
  assert.equal(foldedText('short'), null);
  assert.equal(foldedText('1\n2\n3\n4\n5\n6\n7\n8'), null);
  assert.equal(foldedText('1\n2\n3\n4\n5\n6\n7\n8\n9'), '1\n2\n3\n4');
  assert.equal(foldedText('x'.repeat(601)), 'x'.repeat(300));
});
