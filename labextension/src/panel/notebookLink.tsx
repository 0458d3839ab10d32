/** Draws notebooks that runs, questions and permissions name: as links that open them. */

import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { ExecutionState, KernelState, Question } from '../api';
import { inertLine } from '../inert';
import { askerName, isOfNotebook } from './names';

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

/**
 * The notebook that a question is about: the one whose program asks, otherwise the one that offers the tool.
 *
 * @param runs Finds the run whose program asks.
 */
export function notebookOf(
  { execution, notebook, tool }: Question,
  kernels: readonly KernelState[],
  runs: (id: string) => { kernel_id: string | null } | undefined
): NamedNotebook {
  const asks = { kernel_id: runs(execution)?.kernel_id, notebook };
  const offers = kernelOf(kernels, { notebook: tool.slice(0, tool.indexOf('.')) });
  return notebook || !offers ? asks : offers;
}

/** Draws a named notebook as a link that opens it; null: it cannot be opened. */
export type DrawNotebook = (named: NamedNotebook, isForMouse?: boolean) => React.ReactElement | null;

/**
 * How notebooks are drawn.
 *
 * @param kernels Those that the server knows now.
 * @param open Opens the notebook of a kernel.
 */
export function notebookLinks(
  kernels: readonly KernelState[],
  open: (kernel: KernelState) => void,
  trans: TranslationBundle
): DrawNotebook {
  return (named, isForMouse = false) => {
    const kernel = kernelOf(kernels, named);
    return kernel?.path ? (
      <NotebookLink kernel={kernel} path={kernel.path} open={open} isForMouse={isForMouse} trans={trans} />
    ) : null;
  };
}

/** A named notebook as a link, or its name where it cannot be opened; null: it has none. */
export function drawNamed(named: NamedNotebook, draw: DrawNotebook): React.ReactElement | null {
  return draw(named) ?? (named.notebook ? <bdi>{inertLine(named.notebook, 100)}</bdi> : null);
}

/** Who runs a program: a notebook as a link, or a name. */
export function drawAsker(run: ExecutionState, draw: DrawNotebook, trans: TranslationBundle): React.ReactNode {
  return (isOfNotebook(run) && draw(run)) || <bdi>{askerName(run, trans)}</bdi>;
}

function NotebookLink(props: {
  kernel: KernelState;
  path: string;
  open: (kernel: KernelState) => void;
  /** Whether something else is there for the keyboard. */
  isForMouse: boolean;
  trans: TranslationBundle;
}): React.ReactElement {
  const { kernel, path, open, isForMouse, trans } = props;
  const file = kernel.has_namesake ? path : path.slice(path.lastIndexOf('/') + 1);
  const stop = (event: React.SyntheticEvent): void => {
    event.stopPropagation(); // it may stand in a row, which is not chosen with it
  };
  return (
    <button
      className="pctx-Link"
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
