/** Says whether a tool changes something outside. */

import type { TranslationBundle } from '@jupyterlab/translation';

/** A sentence; empty for a tool that changes nothing. `null`: nobody knows. */
export function effectsText(effects: boolean | null, trans: TranslationBundle): string {
  if (effects === null) {
    return trans.__('It does not say whether it changes something.');
  }
  return effects ? trans.__('It changes something outside.') : '';
}

/** The same in a word or two, beside the name of the tool. */
export function effectsMark(effects: boolean | null, trans: TranslationBundle): string {
  if (effects === null) {
    return trans.__('effects unknown');
  }
  return effects ? trans.__('effects') : '';
}
