import assert from 'node:assert/strict';
import { test } from 'node:test';

import { boundNames } from '../../src/cells/names';

test('names that cells bind at their top level are found', () => {
  const sources = [
    'customers = [1]\nn: int = 1\na, b = 1, 2\nfor row in rows:\n    inner = 1\nx == 1\n_hidden = 1\nobject.field = 2',
    '%%pctx -q -o total\nconst typescript = 1',
    'customers = [2]'
  ];
  assert.deepEqual(boundNames(sources), ['customers', 'n', 'a', 'b', 'row', 'total']);
});
