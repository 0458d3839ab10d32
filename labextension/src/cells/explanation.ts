/** Draws the explanation of a name or a call. All of it is text: descriptions of tools are never HTML. */

import type { IEditorLanguageRegistry } from '@jupyterlab/codemirror';

import { inert } from '../inert';

/** Writes code in JupyterLab's colours. */
export type Colour = (code: string, into: HTMLElement) => void;

export function typescriptIn(languages: IEditorLanguageRegistry): Colour {
  return (code, into) => {
    into.textContent = code;
    const colour = async (): Promise<void> => {
      const language = await languages.getLanguage('TypeScript');
      if (language) {
        const coloured = document.createElement('code');
        await languages.highlight(code, language, coloured);
        into.replaceChildren(...coloured.childNodes);
      }
    };
    colour().catch((error: unknown) => {
      console.debug('pctx: cannot colour a signature', error);
    });
  };
}

/** Characters of one text: a tooltip is no place for more. */
const LONGEST = 4_000;

/** A signature and its description. */
export function explanation(className: string, code: string, description: string, colour: Colour): HTMLElement {
  const dom = document.createElement('div');
  dom.className = className;
  const signature = document.createElement('pre');
  signature.className = 'pctx-Explanation-code';
  if (code.length > LONGEST) {
    signature.textContent = inert(code, LONGEST);
  } else {
    colour(inert(code), signature);
  }
  dom.append(signature);
  if (description) {
    const text = document.createElement('div');
    text.className = 'pctx-Explanation-text';
    text.textContent = inert(description, LONGEST);
    dom.append(text);
  }
  return dom;
}
