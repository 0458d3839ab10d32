/** Draws a table. All of its text is untrusted, and shown as text. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { inert, inertLine } from '../inert';
import {
  cellText,
  EASY,
  FEW,
  fractionOf,
  SHOWN,
  shownText,
  type Column,
  type NumberedRow,
  type TableCell,
  type TableModel
} from './table';

interface TableProps {
  model: TableModel;
  trans: TranslationBundle;
  copy: (text: string) => void;
}

/** Of a table with more rows, only those in sight are drawn; each of its rows is one line. */
const VIRTUAL = 1000;
/** Rows that are drawn above and below those in sight. */
const MARGIN = 15;
/** Pixels of a row before one was measured. */
const ROW_PX = 24;
/** Characters up to which a column of text is as wide as its text; longer texts break at word ends. */
const WIDE = 48;
/** Characters up to which the first column leaves room for the others when it stays. */
const NARROW = 24;

export function Table({ model, trans, copy }: TableProps): React.ReactElement {
  const frame = React.useRef<HTMLDivElement>(null);
  const [seen, setSeen] = React.useState({ top: 0, height: 600, row: ROW_PX });
  const [hidden, setHidden] = React.useState('');
  const { rows } = model;
  const measure = () => {
    const node = frame.current;
    if (node === null) {
      return;
    }
    const isMoreLeft = node.scrollLeft > 1;
    const isMoreRight = node.scrollLeft + node.clientWidth < node.scrollWidth - 1;
    setHidden(`${isMoreLeft ? ' pctx-is-moreLeft' : ''}${isMoreRight ? ' pctx-is-moreRight' : ''}`);
    const row = node.querySelector<HTMLElement>('tbody tr[data-number]')?.offsetHeight ?? 0;
    const next = { top: node.scrollTop, height: node.clientHeight, row: row > 0 ? row : ROW_PX };
    setSeen(old => (old.top === next.top && old.height === next.height && old.row === next.row ? old : next));
  };
  React.useLayoutEffect(measure);
  React.useEffect(() => {
    if (frame.current === null || typeof ResizeObserver === 'undefined') {
      return;
    }
    const observer = new ResizeObserver(measure);
    observer.observe(frame.current);
    return () => {
      observer.disconnect();
    };
  }, []);
  if (rows === null) {
    return <div className="pctx-Table-quiet">{trans.__('This is not a table.')}</div>;
  }
  const found = model.sorted;
  const drawn = model.isOpen ? found : found.slice(0, FEW);
  const isVirtual = drawn.length > VIRTUAL;
  const first = isVirtual ? Math.max(0, Math.floor(seen.top / seen.row) - MARGIN) : 0;
  const end = isVirtual ? Math.ceil((seen.top + seen.height) / seen.row) + MARGIN : drawn.length;
  const inSight = drawn.slice(first, end);
  const below = drawn.length - first - inSight.length;
  const digits = String(Math.max(0, rows.total - 1)).length;
  return (
    <div className="pctx-Table" style={{ '--pctx-number-width': `${digits}ch` } as React.CSSProperties}>
      <div className={`pctx-Table-frame${hidden}`}>
        <div
          ref={frame}
          className={`pctx-Table-scroll${isVirtual ? ' pctx-is-virtual' : ''}`}
          role="group"
          tabIndex={0}
          aria-label={trans.__('Table')}
          data-lm-suppress-shortcuts="true" // arrow keys scroll; otherwise the notebook would select other cells
          onScroll={measure}
        >
          <table aria-rowcount={isVirtual ? drawn.length + 1 : undefined}>
            <Head model={model} trans={trans} />
            <tbody>
              <Space rows={first} row={seen.row} />
              {inSight.map((row, index) => (
                <Row
                  key={row.number}
                  row={row}
                  columns={model.columns}
                  at={isVirtual ? first + index + 2 : undefined}
                />
              ))}
              <Space rows={below} row={seen.row} />
            </tbody>
          </table>
        </div>
      </div>
      <Foot model={model} trans={trans} copy={copy} />
      {rows.note !== '' && <div className="pctx-Table-quiet">{inertLine(rows.note, 2000)}</div>}
    </div>
  );
}

/** The room of rows that are not drawn. */
function Space({ rows, row }: { rows: number; row: number }): React.ReactElement | null {
  return rows > 0 ? <tr aria-hidden="true" style={{ height: rows * row }} /> : null;
}

function Head({ model, trans }: Pick<TableProps, 'model' | 'trans'>): React.ReactElement {
  const { order } = model;
  return (
    <thead>
      <tr>
        <td />
        {model.columns.map((column, index) => (
          <th
            key={index}
            scope="col"
            className={classOf(column, index)}
            style={{ minWidth: `${Math.min(WIDE, column.width)}ch` }}
            aria-sort={order?.column !== index ? 'none' : order.isDown ? 'descending' : 'ascending'}
          >
            <button
              type="button"
              data-lm-suppress-shortcuts="true"
              title={trans.__('Sort by %1', inertLine(column.name))}
              onClick={() => {
                model.sort(index);
              }}
            >
              {inertLine(column.name)}
            </button>
          </th>
        ))}
      </tr>
    </thead>
  );
}

interface RowProps {
  row: NumberedRow;
  columns: Column[];
  /** The number among all rows, for screen readers, when not all of them are drawn. */
  at: number | undefined;
}

function Row({ row, columns, at }: RowProps): React.ReactElement {
  return (
    <tr data-number={row.number} aria-rowindex={at}>
      <th scope="row">{row.number}</th>
      {columns.map((column, index) => (
        <Cell key={index} cell={row.cells[index] ?? { kind: 'none' }} column={column} kind={classOf(column, index)} />
      ))}
    </tr>
  );
}

/** The class of a column's cells. The first column stays while the others scroll, unless it is wide. */
function classOf(column: Column, index: number): string {
  const isFirst = index === 0 && column.width <= NARROW && column.name.length <= NARROW;
  return [column.isNumeric ? 'pctx-is-number' : '', isFirst ? 'pctx-is-first' : ''].filter(one => one !== '').join(' ');
}

function Cell({ cell, column, kind }: { cell: TableCell; column: Column; kind: string }): React.ReactElement {
  const isPlain = cell.kind === 'value' && cell.value !== null;
  const text = shownText(cell);
  const whole = cellText(cell);
  const short = text.length > SHOWN ? `${text.slice(0, SHOWN).replace(/\s+\S*$/, '')}…` : text;
  // The points of a column are below each other: a number is followed by the room of the longest fraction.
  const room = column.isNumeric && isPlain ? column.fraction - fractionOf(text) : 0;
  return (
    <td className={kind}>
      <div
        className={isPlain ? 'pctx-Table-text' : 'pctx-Table-text pctx-Table-quiet'}
        style={room > 0 ? { paddingRight: `${room}ch` } : undefined}
        title={short !== whole || whole.length > WIDE ? inert(whole, 2000) : undefined}
      >
        {inert(short)}
      </div>
    </td>
  );
}

function Foot({ model, trans, copy }: TableProps): React.ReactElement {
  const [isCopied, setCopied] = React.useState(false);
  const { rows, loading } = model;
  if (rows === null) {
    return <></>;
  }
  const found = model.sorted.length;
  const again = trans.__('Run the cell again to get all.');
  const had = rows.rows.length;
  const columns = trans._n('%2 column', '%2 columns', rows.columns.length, rows.columns.length.toLocaleString());
  const all = trans._n('%2 row', '%2 rows', rows.total, rows.total.toLocaleString());
  const count = model.filter !== '' ? trans.__('%1 of %2', found.toLocaleString(), all) : all;
  return (
    <div className="pctx-Table-foot">
      <span>{trans.__('%1 × %2', count, columns)}</span>
      <button
        type="button"
        data-lm-suppress-shortcuts="true"
        onClick={() => {
          void model.complete().then(() => {
            copy(model.csv);
            setCopied(true);
          });
        }}
      >
        {isCopied ? trans.__('Copied') : trans.__('Copy CSV')}
      </button>
      {(had > FEW || (rows.id !== '' && had < rows.total) || model.isOpen) && (
        <button
          type="button"
          data-lm-suppress-shortcuts="true"
          aria-expanded={model.isOpen}
          onClick={() => {
            model.open(!model.isOpen);
          }}
        >
          {model.isOpen ? trans.__('Show fewer') : trans.__('Show all')}
        </button>
      )}
      {rows.total > EASY && (
        <input
          type="search"
          data-lm-suppress-shortcuts="true"
          aria-label={trans.__('Filter the rows')}
          placeholder={trans.__('Filter')}
          value={model.filter}
          onChange={event => {
            model.filter = event.target.value;
          }}
        />
      )}
      <span role="status">
        {loading === 'pending' && trans.__('waiting for the kernel …')}
        {loading === 'failed' &&
          (had < rows.total
            ? `${trans.__('The notebook has only the first %1 rows.', had.toLocaleString())} ${rows.id !== '' ? again : ''}`
            : `${trans.__('Long texts are shortened.')} ${again}`)}
      </span>
    </div>
  );
}
