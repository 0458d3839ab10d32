/** Draws the panel's list: the visible rows, as a tree that is used with keys alone. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { Actions } from './actions';
import type { PanelModel } from './model';
import { notebookLinks } from './notebookLink';
import { HEIGHTS, type PanelRow, idOf } from './rows';
import { Content } from './rowContent';

interface PanelTreeProps {
  model: PanelModel;
  actions: Actions;
  trans: TranslationBundle;
}

export function Tree({ model, actions, trans }: PanelTreeProps): React.ReactElement {
  const { rows, offsets, places } = model;
  const [first, end] = model.sight;
  const chosen = model.chosenRow;
  const draw = notebookLinks(model.kernels, actions.openNotebook, trans);
  const drawn = rows.slice(first, end);
  const tree = React.useRef<HTMLDivElement | null>(null);
  React.useEffect(() => {
    if (!tree.current) {
      return;
    }
    // Details that arrive late take height from the list: what is chosen stays in sight.
    const observer = new ResizeObserver(() => {
      model.reveal();
    });
    observer.observe(tree.current);
    return () => {
      observer.disconnect();
    };
  }, [model]);
  return (
    <div
      className="pctx-List"
      role="tree"
      tabIndex={0}
      aria-label={trans.__('Tools and runs')}
      aria-activedescendant={chosen && drawn.includes(chosen) ? idOf(chosen) : undefined}
      ref={node => {
        tree.current = node;
        if (node && model.wanted !== null) {
          // By the present layout: the model learns later of scrolling, and of the height of the details.
          const [from, to] = model.wanted;
          node.scrollTop = Math.min(from, Math.max(node.scrollTop, to - node.clientHeight));
          model.wanted = null;
        }
      }}
      onScroll={event => {
        model.scroll(event.currentTarget.scrollTop, event.currentTarget.clientHeight);
      }}
      onKeyDown={event => {
        if (steer(event.key, model, actions)) {
          event.preventDefault();
          event.stopPropagation();
        }
      }}
    >
      <div role="presentation" style={{ height: offsets[rows.length] }}>
        {drawn.map((row, index) => (
          <div
            key={row.key}
            id={idOf(row)}
            role="treeitem"
            aria-level={row.level}
            aria-posinset={places[first + index]?.number}
            aria-setsize={places[first + index]?.of}
            aria-selected={row === chosen}
            aria-expanded={'isOpen' in row ? row.isOpen : undefined}
            className={`pctx-Row pctx-mod-${row.kind} pctx-mod-level${row.level}`}
            style={{ top: offsets[first + index], height: HEIGHTS[row.kind] }}
            onClick={event => {
              model.choose(row.key);
              if ('isOpen' in row && (event.target as HTMLElement).closest('.pctx-Twisty')) {
                model.toggle(row.key);
              }
            }}
            onDoubleClick={event => {
              if (!('isOpen' in row)) {
                act(row, actions);
              } else if (!(event.target as HTMLElement).closest('.pctx-Twisty')) {
                model.toggle(row.key);
              }
            }}
          >
            <Content row={row} draw={draw} actions={actions} trans={trans} />
          </div>
        ))}
      </div>
    </div>
  );
}

function steer(key: string, model: PanelModel, actions: Actions): boolean {
  const row = model.chosenRow;
  switch (key) {
    case 'ArrowDown':
      model.move(1);
      return true;
    case 'ArrowUp':
      model.move(-1);
      return true;
    case 'PageDown':
      model.move(10);
      return true;
    case 'PageUp':
      model.move(-10);
      return true;
    case 'Home':
      model.move(-Infinity);
      return true;
    case 'End':
      model.move(Infinity);
      return true;
    case 'ArrowRight':
      model.fold(true);
      return true;
    case 'ArrowLeft':
      model.fold(false);
      return true;
    case 'Enter':
    case ' ':
      if (row && 'isOpen' in row) {
        model.toggle(row.key);
      } else if (row) {
        act(row, actions);
      }
      return row !== undefined;
    default:
      return false;
  }
}

/** The action of Enter and of a double click. */
function act(row: PanelRow, actions: Actions): void {
  if (row.kind === 'tool') {
    actions.insertCall(row.tool, row.kernel);
  } else if (row.kind === 'offered') {
    actions.insertCall(row.tool, null);
  } else if (row.kind === 'example') {
    actions.insertExample();
  } else if (row.kind === 'unloaded') {
    actions.loadPctx();
  } else if (row.kind === 'run') {
    actions.openRun(row.run);
  }
}
