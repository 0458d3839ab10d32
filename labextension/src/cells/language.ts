/**
 * The language of a `%%pctx` cell: Python in the magic line, TypeScript below it.
 *
 * Both come from JupyterLab's own registry, so nothing is bundled, and colours are those of all other cells. Comments,
 * indentation, brackets and folding follow the language under the cursor without further code.
 */

import { LanguageSupport, LRLanguage } from '@codemirror/language';
import type { Extension } from '@codemirror/state';
import type { IEditorLanguageRegistry } from '@jupyterlab/codemirror';
import { parseMixed } from '@lezer/common';

import { HEAD, programStart } from './magic';

/** The MIME type by which JupyterLab's editors find the language. */
export const PCTX_MIME = 'text/x-pctx';

/** Register the language, with the extensions of its editors; it is loaded when the first cell needs it. */
export function addLanguage(registry: IEditorLanguageRegistry, extensions: Extension): void {
  registry.addLanguage({
    name: 'pctx',
    displayName: 'TypeScript (%%pctx)',
    mime: PCTX_MIME,
    load: async () => {
      const [python, typescript] = await Promise.all([load(registry, 'ipython'), load(registry, 'TypeScript')]);
      const language = mixed(python, typescript);
      return new LanguageSupport(language.language, [language.support, extensions]);
    }
  });
}

async function load(registry: IEditorLanguageRegistry, name: string): Promise<LanguageSupport> {
  const support = (await registry.getLanguage(name))?.support;
  if (!(support instanceof LanguageSupport)) {
    throw new Error(`Cannot colour %%pctx cells: JupyterLab has no language ${name}`);
  }
  return support;
}

/** Parse all but the first line as TypeScript, within Python. */
export function mixed(python: LanguageSupport, typescript: LanguageSupport): LanguageSupport {
  const parser = typescript.language.parser;
  const wrap = parseMixed((node, input) => {
    if (!node.type.isTop) {
      return null;
    }
    const head = input.read(0, Math.min(input.length, HEAD));
    const from = programStart(head);
    // With the line's end, so that the beginning of the program is inside, for older CodeMirrors too.
    return from < input.length ? { parser, overlay: [{ from: from - 1, to: input.length }] } : null;
  });
  if (!(python.language instanceof LRLanguage)) {
    throw new Error("Cannot colour %%pctx cells: JupyterLab's Python is not a grammar that mixes with another");
  }
  return new LanguageSupport(python.language.configure({ wrap }, 'pctx'), [typescript.support]);
}
