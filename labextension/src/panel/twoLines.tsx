/** Draws a row of two lines: a title between its marks, and below it quiet text. */

import React from 'react';

import { inertLine } from '../inert';

/** Characters of a name that a panel of the usual width has room for. */
const NAME = 24;
/** Characters at the end of a longer name that stay in sight. */
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
  const head = titleIs === 'name' && text.length > NAME ? text.length - NAME_END : 0;
  const className = `pctx-Row-title pctx-mod-${titleIs}`;
  return (
    <>
      <div className="pctx-Row-line">
        {before}
        {head > 0 ? (
          // An image with a name: a screen reader would put a space between the two parts.
          <bdi className={className} title={text} role="img" aria-label={text}>
            <span>{text.slice(0, head)}</span>
            <span>{text.slice(head)}</span>
          </bdi>
        ) : (
          <bdi className={className} title={text}>
            {text}
          </bdi>
        )}
        {children}
      </div>
      <bdi className="pctx-Row-quiet pctx-Row-line">{quiet}</bdi>
    </>
  );
}
