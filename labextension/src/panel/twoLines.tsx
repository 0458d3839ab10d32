/** Draws a row of two lines: a title between its marks, and below it quiet text. */

import React from 'react';

import { inertLine } from '../inert';

interface TwoLinesProps {
  title: string;
  /** Whether the title is code. */
  isCode?: boolean;
  /** What stands before the title. */
  before?: React.ReactNode;
  quiet: React.ReactNode;
}

/** A row; its children are the marks behind the title. */
export function TwoLines(props: React.PropsWithChildren<TwoLinesProps>): React.ReactElement {
  const { title, isCode = false, before, quiet, children } = props;
  return (
    <>
      <div className="pctx-Row-line">
        {before}
        <bdi className={isCode ? 'pctx-Row-title pctx-mod-code' : 'pctx-Row-title'}>{inertLine(title)}</bdi>
        {children}
      </div>
      <bdi className="pctx-Row-quiet pctx-Row-line">{quiet}</bdi>
    </>
  );
}
