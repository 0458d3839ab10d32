// A notebook is an object of the test's that has the signals of JupyterLab's.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Notebook } from '@jupyterlab/notebook';
import { Signal } from '@lumino/signaling';

import { CellNumbers } from '../../src/panel/cellNumbers';

let reads = 0;

function cell(type: string, executionCount: number | null, ...data: object[]) {
  const changed = new Signal<object, void>({});
  const get = (at: number): object => {
    reads++;
    return { data: data[at] };
  };
  const outputs = { length: data.length, get, changed };
  return { type, executionCount, outputs, isDisposed: false };
}

function trace(id: unknown): object {
  return { 'application/vnd.pctx.trace+json': { id } };
}

function numbersOf(numbers: CellNumbers): [string, number][] {
  const found = new Map<string, number>();
  numbers.addTo(found);
  return [...found];
}

test('the numbers of cells are those of the cells whose outputs have the runs, and a cell is read when they change', () => {
  const [first, second] = [cell('code', 12, { 'text/plain': 'x' }, trace('a')), cell('code', null, trace('b'))];
  const strange = cell('code', 3, trace(5), { 'application/vnd.pctx.trace+json': null });
  const changed = new Signal<object, { newValues: object[] }>({});
  const cells = Object.assign([first, second, strange, { type: 'markdown' }], { changed });
  const notebook = { model: { cells }, modelChanged: new Signal<object, void>({}) } as unknown as Notebook;
  const numbers = new CellNumbers(notebook);
  assert.deepEqual(numbersOf(numbers), [['a', 12]]);
  second.executionCount = 13; // its run has ended
  reads = 0;
  assert.deepEqual(numbersOf(numbers), [
    ['a', 12],
    ['b', 13]
  ]);
  assert.equal(reads, 0);

  first.outputs.length = 0; // cleared, to run again
  first.outputs.changed.emit();
  const third = cell('code', 14, trace('c'));
  changed.emit({ newValues: [third] });
  second.isDisposed = true;
  assert.deepEqual(numbersOf(numbers), [['c', 14]]);
  assert.equal(reads, 1);
});
