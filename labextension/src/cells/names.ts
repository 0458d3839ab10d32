/** Names of a notebook's values, guessed from the text of its Python cells, because a busy kernel does not answer. */

import type { Widget } from '@lumino/widgets';

import { isPctx } from './magic';

const MOST_NAMES = 500;
/** `a, b = …`, `a: int = …`, `for a in …`, at the top level. */
const BOUND = /^(?:for\s+)?([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*(?::[^=\n]+)?(?:=(?!=)|\sin\s)/gm;
const OUTPUT = /^\s*%%pctx\b.*\s(?:-o|--output)[ =]\s*([A-Za-z_]\w*)/;
/** The names that cells bind at their top level; in the order of the text. */
export function boundNames(sources: Iterable<string>): string[] {
  const names = new Set<string>();
  for (const source of sources) {
    if (isPctx(source)) {
      const output = OUTPUT.exec(source.split('\n', 4).join(' '))?.[1];
      if (output !== undefined) {
        names.add(output);
      }
      continue;
    }
    for (const [, bound = ''] of source.matchAll(BOUND)) {
      for (const name of bound.split(/\s*,\s*/)) {
        if (!name.startsWith('_')) {
          names.add(name);
        }
      }
    }
  }
  return [...names].slice(-MOST_NAMES);
}

interface WithCells {
  content: { model: { cells: Iterable<{ type: string; sharedModel: { getSource(): string } }> } | null };
}

/** The names of the notebook that a widget shows; none if it shows something else. */
export function namesIn(widget: Widget): string[] {
  const cells = (widget as Partial<WithCells>).content?.model?.cells;
  return cells
    ? boundNames([...cells].filter(cell => cell.type === 'code').map(cell => cell.sharedModel.getSource()))
    : [];
}
