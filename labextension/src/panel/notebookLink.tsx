/** Draws the name of a notebook as a link that opens it. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { KernelState } from '../api';
import { inertLine } from '../inert';

/** How a run, a question or a permission names a notebook: by its kernel, or as people read it. */
export interface NamedNotebook {
  readonly kernel_id?: string | null;
  /** The name under which others see it; its path may follow in brackets. */
  readonly notebook?: string | null;
}

/** Whether a kernel is of a notebook that can be opened. */
export function hasNotebook(kernel: KernelState): boolean {
  return kernel.kind !== 'service' && kernel.path !== null;
}

/** The kernel of a named notebook, if its notebook can be opened. */
export function kernelOf(kernels: readonly KernelState[], named: NamedNotebook): KernelState | undefined {
  const [name] = (named.notebook ?? '').split(' (');
  return (
    kernels.find(kernel => hasNotebook(kernel) && kernel.kernel_id === named.kernel_id) ??
    kernels.find(kernel => hasNotebook(kernel) && kernel.name === name)
  );
}

interface LinkProps {
  named: NamedNotebook;
  kernels: readonly KernelState[];
  open: (kernel: KernelState) => void;
  /** Whether something else is there for the keyboard. */
  isForMouse?: boolean;
  trans: TranslationBundle;
}

/** The file of a notebook as a link; where the notebook cannot be opened, its name; nothing where it has none. */
export function NotebookLink({ named, kernels, open, isForMouse, trans }: LinkProps): React.ReactElement | null {
  const kernel = kernelOf(kernels, named);
  if (!kernel?.path) {
    return named.notebook ? <bdi>{inertLine(named.notebook, 100)}</bdi> : null;
  }
  const file = kernel.has_namesake ? kernel.path : kernel.path.slice(kernel.path.lastIndexOf('/') + 1);
  const stop = (event: React.SyntheticEvent): void => {
    event.stopPropagation(); // it may stand in a row, which is not chosen with it
  };
  return (
    <button
      className="pctx-Link pctx-NotebookLink"
      tabIndex={isForMouse ? -1 : undefined}
      title={trans.__('Open this notebook')}
      onClick={event => {
        event.stopPropagation();
        open(kernel);
      }}
      onDoubleClick={stop}
      onKeyDown={stop}
    >
      <bdi>{inertLine(file, 100)}</bdi> ↗
    </button>
  );
}
