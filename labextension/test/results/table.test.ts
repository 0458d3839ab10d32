import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isNumeric, read, TableModel } from '../../src/results/table';

const ROWS = {
  columns: ['id', 'name', 'mixed'],
  rows: [
    [10, 'b2', { json: '[1]' }],
    [null, 'b10', true],
    [2, 'a', {}],
    [2, 'A', 5]
  ],
  total: 4
};

function order(model: TableModel): number[] {
  return model.sorted.map(row => row.number);
}

test('a column sorts upwards, then downwards, then as it came; what is missing stays last', () => {
  const model = new TableModel();
  model.json = ROWS;
  model.sort(0);
  assert.deepEqual(order(model), [2, 3, 0, 1]);
  model.sort(0);
  assert.deepEqual(order(model), [0, 2, 3, 1]);
  model.sort(0);
  assert.deepEqual([order(model), model.order], [[0, 1, 2, 3], null]);
});

test('texts sort as people do, kinds one after the other', () => {
  const model = new TableModel();
  model.json = ROWS;
  model.sort(1);
  assert.deepEqual(order(model).slice(2), [0, 1]);
  model.sort(2);
  assert.deepEqual(order(model), [3, 1, 0, 2]);
});

test('columns of numbers are known', () => {
  const rows = read(ROWS);
  assert.ok(rows);
  assert.deepEqual(
    [0, 1, 2].map(column => isNumeric(rows, column)),
    [true, false, false]
  );
});

test('what is no table is none, and a broken one shows what it has', () => {
  for (const json of [null, undefined, 5, 'x', [], {}, { columns: [], rows: {} }]) {
    assert.equal(read(json), null);
  }
  const rows = read({ columns: [1, 'a'], rows: [5, [1], null, [undefined, () => 1]], total: 'all' });
  assert.ok(rows);
  assert.deepEqual([rows.columns, rows.rows.length, rows.total], [['', 'a'], 2, 2]);
});

test('a table of any size is cut to what a page can draw', () => {
  const row = new Array(100).fill('x'.repeat(100_000));
  const found = read({ columns: row.map(String), rows: new Array(10_000).fill(row), total: 10_000 });
  assert.ok(found);
  assert.equal(found.rows.length, 250);
  assert.equal(found.total, 10_000);
  assert.ok(found.rows.flat().every(cell => cell.kind === 'value' && String(cell.value).length <= 1000));
  assert.equal(read({ columns: [], rows: new Array(10_000).fill([]) })?.rows.length, 5000);
});
