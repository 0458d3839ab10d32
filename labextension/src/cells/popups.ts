/**
 * What closes the popups over our cells: parameters of a call, help under the mouse, and the bubble of a problem.
 *
 * Escape closes them and stays in the editor: JupyterLab would leave edit mode, and the next letters would be commands. They
 * also close when the focus leaves the editor, when the page scrolls under them, and when their cell is hidden.
 */

import type { EditorState, Extension } from '@codemirror/state';
import {
  closeHoverTooltips,
  EditorView,
  hasHoverTooltips,
  ViewPlugin,
  type PluginValue,
  type ViewUpdate
} from '@codemirror/view';

import { hideProblem, isProblemShown } from './problem';
import { hideSignature, isSignatureShown } from './signature';

/** The class of an editor that has a popup: the shortcut of Escape is for such editors alone. */
export const POPUP_CLASS = 'pctx-mod-popup';

/** Milliseconds after a change of text or cursor in which scrolling is the editor's own: the cursor comes into sight. */
const OWN_SCROLL_MS = 500;

export function hasPopup(state: EditorState): boolean {
  return isSignatureShown(state) || isProblemShown(state) || hasHoverTooltips(state);
}

/** Close all popups of an editor; false: there is none. */
export function closePopups(view: EditorView): boolean {
  if (!hasPopup(view.state)) {
    return false;
  }
  view.dispatch({ effects: [hideSignature, hideProblem, closeHoverTooltips] });
  return true;
}

class Popups implements PluginValue {
  readonly #view: EditorView;
  readonly #screen: IntersectionObserver;
  readonly #now: () => number;
  #movedAt = -Infinity;

  constructor(view: EditorView, now: () => number = () => performance.now()) {
    this.#view = view;
    this.#now = now;
    this.#screen = new IntersectionObserver(entries => {
      if (entries.at(-1)?.isIntersecting === false) {
        closePopups(view);
      }
    });
    this.#screen.observe(view.dom);
    view.contentDOM.addEventListener('blur', this.#onBlur);
    document.addEventListener('scroll', this.#onScroll, { capture: true, passive: true });
  }

  update(update: ViewUpdate): void {
    if (update.docChanged || update.selectionSet) {
      this.#movedAt = this.#now();
    }
  }

  destroy(): void {
    this.#screen.disconnect();
    this.#view.contentDOM.removeEventListener('blur', this.#onBlur);
    document.removeEventListener('scroll', this.#onScroll, { capture: true });
  }

  readonly #onBlur = (event: FocusEvent): void => {
    // A person may select text in a popup, or use its buttons.
    const isInPopup = event.relatedTarget instanceof Element && event.relatedTarget.closest('.cm-tooltip') !== null;
    if (!isInPopup && document.querySelector('.cm-tooltip:hover') === null) {
      closePopups(this.#view);
    }
  };

  readonly #onScroll = ({ target }: Event): void => {
    const isOurs = target instanceof Node && target !== this.#view.dom && target.contains(this.#view.dom);
    if (isOurs && this.#now() - this.#movedAt > OWN_SCROLL_MS) {
      closePopups(this.#view);
    }
  };
}

export function popups(): Extension {
  return [
    EditorView.editorAttributes.of(view => (hasPopup(view.state) ? { class: POPUP_CLASS } : null)),
    ViewPlugin.define(view => new Popups(view))
  ];
}
