import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isPctx, programStart } from '../../src/cells/magic';

test('a cell is ours when its first line that is not blank begins with the magic', () => {
  for (const source of ['%%pctx', '%%pctx\n1', '%%pctx -i a,b\n1', '\n \n%%pctx\n1', '%%pctx\t-q', '%%pctx\r\n1']) {
    assert.ok(isPctx(source), JSON.stringify(source));
  }
  for (const source of ['', '%pctx', '%%pctxx', '%%time\n%%pctx\n1', '# %%pctx', '1\n%%pctx', '%%pctx-o']) {
    assert.ok(!isPctx(source), JSON.stringify(source));
  }
});

test('the program begins below the magic line', () => {
  assert.equal(programStart('%%pctx\nawait x'), 7);
  assert.equal(programStart('\n\n%%pctx -q\n1'), 12);
  assert.equal(programStart('%%pctx'), 6);
});
