/** Draws a text as it is written, which keys can scroll. */

import React from 'react';

interface Props {
  /** What it is, for those who do not see it. */
  label: string;
}

export function Code({ label, children }: React.PropsWithChildren<Props>): React.ReactElement {
  return (
    <pre className="pctx-Code" role="group" tabIndex={0} aria-label={label}>
      {children}
    </pre>
  );
}
