/** Draws the frame of the details of a chosen row: a region with a name, and a heading. */

import React from 'react';

interface SectionProps {
  /** The region's name, for screen readers. */
  label: string;
  /** The heading. */
  title: React.ReactNode;
}

export function DetailSection({ label, title, children }: React.PropsWithChildren<SectionProps>): React.ReactElement {
  return (
    <section className="pctx-Detail" aria-label={label}>
      <h3>{title}</h3>
      {children}
    </section>
  );
}
