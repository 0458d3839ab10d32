/** Draws a row of two lines: a title between its marks, and below it quiet text. */

import React from 'react';

import { inertLine } from '../inert';

/** Characters at the end of a name that stay in sight where the name has not enough room. */
const NAME_END = 12;

interface TwoLinesProps {
  title: string;
  /** A name gives way in its middle, because many names begin alike; code gives way at its end, as a text does. */
  titleIs?: 'name' | 'code';
  /** What stands before the title. */
  before?: React.ReactNode;
  quiet: React.ReactNode;
}

/** A row; its children are the marks behind the title. */
export function TwoLines(props: React.PropsWithChildren<TwoLinesProps>): React.ReactElement {
  const { title, titleIs = 'name', before, quiet, children } = props;
  const text = inertLine(title);
  const head = titleIs === 'name' ? Math.max(0, text.length - NAME_END) : 0;
  return (
    <>
      <div className="pctx-Row-line">
        {before}
        <bdi className={`pctx-Row-title pctx-mod-${titleIs}`} title={text}>
          {head > 0 ? (
            <>
              <span>{text.slice(0, head)}</span>
              <span>{text.slice(head)}</span>
            </>
          ) : (
            text
          )}
        </bdi>
        {children}
      </div>
      <bdi className="pctx-Row-quiet pctx-Row-line">{quiet}</bdi>
    </>
  );
}
