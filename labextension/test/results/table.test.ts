import assert from 'node:assert/strict';
import { test } from 'node:test';

import { columnsOf, fractionOf, numberText, read, TableModel } from '../../src/results/table';

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

test('a column with NaN and infinities is one of numbers, and NaN sorts like a missing value', () => {
  const model = new TableModel();
  const json = ['NaN', 'Infinity', '-Infinity'].map(text => [{ json: text }]);
  model.json = { columns: ['a'], rows: [[1.5], ...json, [-2]], total: 5 };
  assert.deepEqual(model.columns, [{ name: 'a', isNumeric: true, width: 9, fraction: 2 }]);
  model.sort(0);
  assert.deepEqual(order(model), [3, 4, 0, 2, 1]);
  model.sort(0);
  assert.deepEqual(order(model), [2, 0, 4, 3, 1]);
  assert.equal(model.csv, 'a\r\nInfinity\r\n1.5\r\n-2\r\n-Infinity\r\nNaN\r\n');
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
    columnsOf(rows).map(column => column.isNumeric),
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

test('a table of any size is cut to what a file of ours may have', () => {
  const row = new Array(300).fill('x'.repeat(10_000));
  const found = read({ columns: row.map(String), rows: new Array(100).fill(row), total: 10_000 });
  assert.ok(found);
  assert.deepEqual([found.columns.length, found.rows.length, found.total], [200, 100, 10_000]);
  assert.ok(found.rows.flat().every(cell => cell.kind === 'value' && String(cell.value).length <= 1000));
  assert.equal(read({ columns: [], rows: new Array(10_000).fill([]) })?.rows.length, 5000);
});

test('numbers have six significant digits, and whole numbers all of theirs', () => {
  const texts: [number, string][] = [
    [0.1 + 0.2, '0.3'],
    [52.3702161234567, '52.3702'],
    [1234567.891, '1234568'],
    [999999.96, '1000000'],
    [-0.000123456789, '-0.000123457'],
    [1.5e-9, '1.5e-9'],
    [2.5e22, '2.5e+22'],
    [9007199254740991, '9007199254740991'],
    [100000, '100000'],
    [0, '0'],
    [-0.5, '-0.5']
  ];
  for (const [value, text] of texts) {
    assert.equal(numberText(value), text);
  }
});

test('the points of a column of numbers can be put below each other', () => {
  assert.deepEqual(['12', '1.25', '-0.5', '1.5e-9', 'NaN', ''].map(fractionOf), [0, 3, 2, 5, 0, 0]);
  const rows = read({ columns: ['a'], rows: [[12], [1.25], [null]], total: 3 });
  assert.ok(rows);
  assert.deepEqual(columnsOf(rows), [{ name: 'a', isNumeric: true, width: 4, fraction: 3 }]);
});

test('a filter leaves the rows that contain a text, whatever its case, and CSV has these rows with all digits', () => {
  const model = new TableModel();
  model.json = {
    columns: ['id', 'a "b"'],
    rows: [
      [0.1234567891, 'Tea,\nhot'],
      [2, 'bread'],
      [3, null],
      [4, {}]
    ],
    total: 4
  };
  assert.equal(model.csv, 'id,"a ""b"""\r\n0.1234567891,"Tea,\nhot"\r\n2,bread\r\n3,\r\n4,\r\n');
  model.filter = 'TEA';
  assert.deepEqual(order(model), [0]);
  model.filter = '';
  assert.equal(order(model).length, 4);
});

const PART = { columns: ['id'], rows: [[2], [1]], total: 3, id: 'kept' };
const WHOLE = { columns: ['id'], rows: [[2], [1], [0]], total: 3 };

test('the whole table comes from the kernel, once, when its part is sorted, filtered, opened or copied', async () => {
  const acts: ((model: TableModel) => unknown)[] = [
    model => {
      model.sort(0);
    },
    model => (model.filter = '0'),
    model => {
      model.open(true);
    },
    model => model.complete()
  ];
  for (const act of acts) {
    const asked: string[] = [];
    const model = new TableModel(id => {
      asked.push(id);
      return Promise.resolve(WHOLE);
    });
    model.json = PART;
    act(model);
    assert.equal(model.loading, 'pending');
    await model.complete();
    await new Promise(resolve => setImmediate(resolve));
    assert.deepEqual([asked, model.loading, model.rows?.rows.length], [['kept'], 'none', 3]);
  }
});

test('a table that no kernel has keeps its rows and says so', async () => {
  for (const load of [null, () => Promise.reject(new Error('gone')), () => Promise.resolve('no table')]) {
    const model = new TableModel(load);
    model.json = PART;
    await model.complete();
    assert.deepEqual([model.loading, model.rows?.rows.length], ['failed', 2]);
  }
});

test('a table that arrives late does not replace the one that is shown since', async () => {
  let answer: (json: unknown) => void = () => undefined;
  const model = new TableModel(() => new Promise(resolve => (answer = resolve)));
  model.json = PART;
  const loading = model.complete();
  model.json = { columns: ['other'], rows: [], total: 0 };
  answer(WHOLE);
  await loading;
  assert.deepEqual([model.rows?.columns, model.loading], [['other'], 'none']);
});
