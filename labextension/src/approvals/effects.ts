/** Texts on whether a tool changes something outside. */

import type { TranslationBundle } from '@jupyterlab/translation';

/** A sentence about a tool's effects; empty if it has none. `null`: they are unknown. */
export function effectsText(effects: boolean | null, trans: TranslationBundle): string {
  if (effects === null) {
    return trans.__('It does not say whether it changes something.');
  }
  return effects ? trans.__('It changes something outside.') : '';
}

/** A short label about a tool's effects, shown beside its name. */
export function effectsMark(effects: boolean | null, trans: TranslationBundle): string {
  if (effects === null) {
    return trans.__('effects unknown');
  }
  return effects ? trans.__('effects') : '';
}
