/** Shows a call's parameters while it is typed: after `(` or `,`, until the cursor leaves the call. */

import { type EditorState, StateEffect, StateField, type Extension } from '@codemirror/state';
import { EditorView, showTooltip, ViewPlugin, type PluginValue, type Tooltip, type ViewUpdate } from '@codemirror/view';

import type { ExplainedCall } from '../api';
import { inert } from '../inert';
import type { Assistant } from './assistant';
import { isInLine, isPctx } from './magic';
import { kernelOf, type Owners } from './owners';
import type { CellSettings } from './settings';

const AFTER_KEYSTROKE_MS = 60;

interface ShownCall {
  call: ExplainedCall;
  at: number;
}

const show = StateEffect.define<ShownCall | null>();

const shown = StateField.define<Tooltip | null>({
  create: () => null,
  update(tooltip, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(show)) {
        return (
          effect.value && {
            pos: effect.value.at,
            // Above the first lines it would cover the cell before.
            above: transaction.newDoc.lineAt(Math.min(effect.value.at, transaction.newDoc.length)).number > 2,
            create: () => ({ dom: draw(effect.value as ShownCall) })
          }
        );
      }
    }
    return tooltip && transaction.docChanged ? { ...tooltip, pos: transaction.changes.mapPos(tooltip.pos) } : tooltip;
  },
  provide: field => showTooltip.from(field)
});

/** Closes the popup. */
export const hideSignature = show.of(null);

export function isSignatureShown(state: EditorState): boolean {
  return (state.field(shown, false) ?? null) !== null;
}

export function signatures(assistant: Assistant, owners: Owners, settings: CellSettings): Extension {
  class SignaturePlugin implements PluginValue {
    readonly #view: EditorView;
    #timer = 0;
    #asked = 0;

    constructor(view: EditorView) {
      this.#view = view;
    }

    update(update: ViewUpdate): void {
      if (update.transactions.some(({ effects }) => effects.includes(hideSignature))) {
        this.#asked++; // an answer that is under way would show it again
        window.clearTimeout(this.#timer);
        return;
      }
      if (!update.docChanged && !update.selectionSet && !update.focusChanged) {
        return;
      }
      const isShown = update.state.field(shown) !== null;
      const isTyped = update.transactions.some(transaction => transaction.isUserEvent('input.type'));
      const head = update.state.selection.main.head;
      const isCall = isTyped && /[(,]/.test(update.state.sliceDoc(head - 1, head));
      if (settings.showParameters && (isShown || isCall)) {
        this.#schedule();
      }
    }

    destroy(): void {
      window.clearTimeout(this.#timer);
      this.#asked = -1;
    }

    #schedule(): void {
      window.clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => void this.#ask(), AFTER_KEYSTROKE_MS);
    }

    async #ask(): Promise<void> {
      const view = this.#view;
      const asked = ++this.#asked;
      const { doc, selection } = view.state;
      const source = doc.toString();
      const offset = selection.main.head;
      const owner = owners.of(view.dom);
      const kernelId = owner && kernelOf(owner);
      let call: ExplainedCall | null = null;
      if (kernelId !== null && view.hasFocus && isPctx(source) && !isInLine(source, offset)) {
        const answer = await assistant.signature({ source, offset, kernel_id: kernelId });
        const isKnown = answer.status === 'known' && answer.value.signatures.length > 0;
        call = isKnown && this.#view.hasFocus ? answer.value : null;
      }
      if (asked === this.#asked && view.state.doc === doc && (call !== null || view.state.field(shown) !== null)) {
        view.dispatch({ effects: show.of(call && { call, at: offset }) });
      }
    }
  }
  return [shown, ViewPlugin.fromClass(SignaturePlugin)];
}

/** Draw the current signature with its current parameter marked. */
function draw({ call }: ShownCall): HTMLElement {
  const dom = document.createElement('div');
  dom.className = 'pctx-Signature';
  const current = call.signatures[Math.min(call.signature, call.signatures.length - 1)];
  if (!current) {
    return dom;
  }
  const code = document.createElement('pre');
  code.className = 'pctx-Explanation-code';
  const parameter = current.parameters[call.parameter];
  const at = parameter?.text ? current.text.indexOf(parameter.text, current.text.indexOf('(')) : -1;
  if (parameter && at >= 0) {
    const mark = document.createElement('b');
    mark.textContent = inert(parameter.text);
    const after = at + parameter.text.length;
    code.append(inert(current.text.slice(0, at)), mark, inert(current.text.slice(after)));
  } else {
    code.textContent = inert(current.text);
  }
  dom.append(code);
  const description = parameter?.documentation || current.documentation;
  if (description) {
    const text = document.createElement('div');
    text.className = 'pctx-Explanation-text';
    text.textContent = inert(description, 4_000);
    dom.append(text);
  }
  return dom;
}
