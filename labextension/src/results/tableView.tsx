/** Draws a sortable table. All of its text is untrusted, and shown as text. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { inert, inertLine } from '../inert';
import { isNumeric, type TableCell, type TableModel } from './table';

export function Table({ model, trans }: { model: TableModel; trans: TranslationBundle }): React.ReactElement {
  const { rows, order } = model;
  if (rows === null) {
    return <div className="pctx-Table-quiet">{trans.__('This is not a table.')}</div>;
  }
  const numeric = rows.columns.map((_, column) => (isNumeric(rows, column) ? 'pctx-is-number' : ''));
  const left = rows.total - rows.rows.length;
  return (
    <div className="pctx-Table">
      <div className="pctx-Table-frame">
        <table>
          <thead>
            <tr>
              <td />
              {rows.columns.map((name, column) => (
                <th
                  key={column}
                  scope="col"
                  className={numeric[column]}
                  aria-sort={order?.column !== column ? 'none' : order.isDown ? 'descending' : 'ascending'}
                >
                  <button
                    type="button"
                    data-lm-suppress-shortcuts="true"
                    title={trans.__('Sort by %1', inertLine(name))}
                    onClick={() => {
                      model.sort(column);
                    }}
                  >
                    {inertLine(name)}
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {model.sorted.map(({ number, cells }) => (
              <tr key={number}>
                <th scope="row">{number}</th>
                {cells.map((cell, column) => (
                  <td key={column} className={numeric[column]}>
                    <CellText cell={cell} />
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {left > 0 && (
        <div className="pctx-Table-quiet">
          {trans.__('%1 of %2 rows', rows.rows.length.toLocaleString(), rows.total.toLocaleString())}
        </div>
      )}
    </div>
  );
}

function CellText({ cell }: { cell: TableCell }): React.ReactElement {
  if (cell.kind === 'value' && cell.value !== null) {
    return <>{inert(String(cell.value), 300)}</>;
  }
  const text = cell.kind === 'json' ? inert(cell.text, 300) : cell.kind === 'value' ? 'null' : '';
  return <span className="pctx-Table-quiet">{text}</span>;
}
