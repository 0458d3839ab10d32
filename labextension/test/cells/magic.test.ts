import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isInLine, isPctx, programStart } from '../../src/cells/magic';

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

test('what is above the program is the line, also while there is no program yet', () => {
  assert.ok(isInLine('%%pctx -i', 9));
  assert.ok(isInLine('%%pctx\n1', 6));
  assert.ok(!isInLine('%%pctx\n1', 7));
  assert.ok(!isInLine('%%pctx\n', 7));
});
