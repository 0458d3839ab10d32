/** The line between the panel's list and its details, which a person drags or moves with the arrow keys. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { LEAST_SPLIT, MOST_SPLIT } from './model';

/** The key under which the browser remembers the part of the height that the details have. */
const KEY = 'pctx-panel-split';
/** The part of the height by which an arrow key moves the line. */
const STEP = 0.05;

interface DividerProps {
  /** The part of the panel's height that the details have; null: it was never moved. */
  part: number | null;
  move: (part: number) => void;
  trans: TranslationBundle;
}

export function Divider({ part, move, trans }: DividerProps): React.ReactElement {
  /** The part that the details have below a position; by default the present one. */
  const partOf = (node: HTMLElement, y?: number): number => {
    const box = (node.parentElement ?? node).getBoundingClientRect();
    return box.height > 0 ? (box.bottom - (y ?? node.getBoundingClientRect().bottom)) / box.height : 0.5;
  };
  return (
    <div
      className="pctx-Divider"
      role="separator"
      tabIndex={0}
      aria-orientation="horizontal"
      aria-label={trans.__('Height of the details')}
      aria-valuemin={100 * LEAST_SPLIT}
      aria-valuemax={100 * MOST_SPLIT}
      aria-valuenow={Math.round(100 * (part ?? 0.5))}
      onPointerDown={event => {
        if (event.button === 0) {
          event.preventDefault(); // no text is selected
          event.currentTarget.setPointerCapture(event.pointerId);
        }
      }}
      onPointerMove={event => {
        if (event.currentTarget.hasPointerCapture(event.pointerId)) {
          move(partOf(event.currentTarget, event.clientY));
        }
      }}
      onKeyDown={event => {
        const by = event.key === 'ArrowUp' ? STEP : event.key === 'ArrowDown' ? -STEP : 0;
        if (by !== 0) {
          event.preventDefault();
          event.stopPropagation();
          move((part ?? partOf(event.currentTarget)) + by);
        }
      }}
    />
  );
}

/** Return the part that was chosen in this browser before; null: none. */
export function readSplit(): number | null {
  try {
    const found = Number(window.localStorage.getItem(KEY) ?? NaN);
    return found >= LEAST_SPLIT && found <= MOST_SPLIT ? found : null;
  } catch {
    return null; // a browser may have no storage for this page
  }
}

/** Remember a part for later pages of this browser. */
export function writeSplit(part: number): void {
  try {
    window.localStorage.setItem(KEY, String(part));
  } catch {
    // Then it lasts as long as the page.
  }
}
