/** Knows which cells of a notebook show which runs. A cell is read again only when its outputs have changed. */

import type { ICellModel, ICodeCellModel } from '@jupyterlab/cells';
import type { Notebook } from '@jupyterlab/notebook';

import { MIME } from '../results/trace';

export class CellNumbers {
  /** The ids of the runs that a cell shows. */
  readonly #runs = new Map<ICodeCellModel, readonly string[]>();
  /** Cells whose outputs have changed since they were read. */
  readonly #changed = new Set<ICodeCellModel>();
  /** Cells whose outputs are followed: a cell may be listed as new again. */
  readonly #followed = new WeakSet<ICodeCellModel>();
  readonly #notebook: Pick<Notebook, 'model' | 'modelChanged'>;

  constructor(notebook: Pick<Notebook, 'model' | 'modelChanged'>) {
    this.#notebook = notebook;
    notebook.modelChanged.connect(this.#follow, this);
    this.#follow();
  }

  /** Add the numbers of the cells that show runs to a map, by the run's id. */
  addTo(numbers: Map<string, number>): void {
    for (const cell of this.#changed) {
      const ids = cell.isDisposed ? [] : runsOf(cell);
      if (ids.length > 0) {
        this.#runs.set(cell, ids);
      } else {
        this.#runs.delete(cell);
      }
    }
    this.#changed.clear();
    for (const [cell, ids] of this.#runs) {
      if (cell.isDisposed) {
        this.#runs.delete(cell); // it was deleted from the notebook
      } else if (cell.executionCount !== null) {
        const { executionCount } = cell;
        ids.forEach(id => numbers.set(id, executionCount));
      }
    }
  }

  #follow(): void {
    const cells = this.#notebook.model?.cells;
    this.#add([...(cells ?? [])]);
    cells?.changed.connect((_, { newValues }) => {
      this.#add(newValues);
    });
  }

  #add(cells: readonly ICellModel[]): void {
    for (const cell of cells) {
      if (isCode(cell) && !this.#followed.has(cell)) {
        this.#followed.add(cell);
        this.#changed.add(cell);
        cell.outputs.changed.connect(() => {
          this.#changed.add(cell);
        });
      }
    }
  }
}

function isCode(cell: ICellModel): cell is ICodeCellModel {
  return cell.type === 'code';
}

function runsOf({ outputs }: ICodeCellModel): string[] {
  const found: string[] = [];
  for (let at = 0; at < outputs.length; at++) {
    const trace = outputs.get(at).data[MIME];
    if (typeof trace === 'object' && trace !== null && 'id' in trace && typeof trace.id === 'string') {
      found.push(trace.id);
    }
  }
  return found;
}
