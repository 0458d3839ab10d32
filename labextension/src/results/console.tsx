/** Draws what a program printed, one message after the other. All of its text is untrusted, and shown as text. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { inert } from '../inert';
import { duration, type TimelineLine } from './trace';

/** Longer messages are folded. */
const LONG = { lines: 8, characters: 600 };

/** The part of a message that is shown when it is folded; null: it is short. */
export function foldedText(text: string): string | null {
  const lines = text.split('\n');
  if (lines.length <= LONG.lines && text.length <= LONG.characters) {
    return null;
  }
  return lines
    .slice(0, LONG.lines / 2)
    .join('\n')
    .slice(0, LONG.characters / 2);
}

export function ConsoleLine({ line, trans }: { line: TimelineLine; trans: TranslationBundle }): React.ReactElement {
  const [isOpen, setOpen] = React.useState(false);
  const text = inert(line.text.replace(/\n$/, ''));
  const folded = foldedText(text);
  const marks = { debug: '·', log: '', warn: '▲', error: '●' };
  const names = { debug: trans.__('debug'), log: '', warn: trans.__('warning'), error: trans.__('error') };
  return (
    <div className={`pctx-Timeline-line pctx-is-${line.level}`}>
      <span className="pctx-Timeline-quiet">{duration(line.atS)}</span>
      {line.level === 'log' ? (
        <span className="pctx-Timeline-level" />
      ) : (
        <span className="pctx-Timeline-level" role="img" aria-label={names[line.level]} title={names[line.level]}>
          {marks[line.level]}
        </span>
      )}
      <pre>
        {folded === null || isOpen ? text : `${folded}…`}
        {folded !== null && (
          <button
            type="button"
            className="pctx-Timeline-more"
            data-lm-suppress-shortcuts="true"
            aria-expanded={isOpen}
            onClick={() => {
              setOpen(!isOpen);
            }}
          >
            {isOpen ? trans.__('less') : trans.__('more')}
          </button>
        )}
      </pre>
    </div>
  );
}
