/** Draws preformatted text that can be scrolled with keys. */

import React from 'react';

interface CodeProps {
  /** The name of the text, for screen readers. */
  label: string;
}

export function Code({ label, children }: React.PropsWithChildren<CodeProps>): React.ReactElement {
  return (
    <pre className="pctx-Code" role="group" tabIndex={0} aria-label={label}>
      {children}
    </pre>
  );
}
