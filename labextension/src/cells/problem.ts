/**
 * Goes to the next problem of a program, and shows it in a bubble at its place until the cursor leaves it.
 *
 * The bubble is not that of the mouse: the front end brings the editor, and not every version of it can open that one.
 */

import { type Diagnostic, forEachDiagnostic, setDiagnosticsEffect } from '@codemirror/lint';
import { type EditorState, type Extension, StateEffect, StateField } from '@codemirror/state';
import { type EditorView, showTooltip, type Tooltip } from '@codemirror/view';

/** Problems with the same place. */
interface Place {
  readonly from: number;
  readonly to: number;
  readonly problems: readonly Diagnostic[];
}

const show = StateEffect.define<Place | null>();

const shown = StateField.define<Tooltip | null>({
  create: () => null,
  update(bubble, transaction) {
    for (const effect of transaction.effects) {
      if (effect.is(show)) {
        return effect.value && bubbleOf(effect.value);
      }
      if (effect.is(setDiagnosticsEffect)) {
        return null; // what it says may no longer be true
      }
    }
    const { head } = transaction.newSelection.main;
    const isLeft = bubble !== null && (head < bubble.pos || head > (bubble.end ?? bubble.pos));
    return transaction.docChanged || isLeft ? null : bubble;
  },
  provide: field => showTooltip.from(field)
});

/** Closes the bubble. */
export const hideProblem = show.of(null);

export function isProblemShown(state: EditorState): boolean {
  return (state.field(shown, false) ?? null) !== null;
}

export function problemBubble(): Extension {
  return shown;
}

/** Select the next problem behind the selection, or the first one of all, and show it; false: there is none. */
export function goToNextProblem(view: EditorView): boolean {
  const chosen = view.state.selection.main;
  const places = placesOf(view.state);
  const isBehind = ({ from, to }: Place): boolean => from >= chosen.to && (from !== chosen.from || to !== chosen.to);
  const next = places.find(isBehind) ?? places[0];
  if (!next) {
    return false;
  }
  view.dispatch({
    selection: { anchor: next.from, head: next.to },
    effects: show.of(next),
    scrollIntoView: true
  });
  return true;
}

/** The places with problems, in their order. */
function placesOf(state: EditorState): Place[] {
  const found = new Map<string, Place & { problems: Diagnostic[] }>();
  forEachDiagnostic(state, (problem, from, to) => {
    const key = `${from} ${to}`;
    const place = found.get(key) ?? { from, to, problems: [] };
    place.problems.push(problem);
    found.set(key, place);
  });
  return [...found.values()].sort((one, other) => one.from - other.from);
}

function bubbleOf({ from, to, problems }: Place): Tooltip {
  return { pos: from, end: to, above: true, create: view => ({ dom: draw(view, from, to, problems) }) };
}

/** Draw problems with the classes of the bubble under the mouse. */
function draw(view: EditorView, from: number, to: number, problems: readonly Diagnostic[]): HTMLElement {
  const list = document.createElement('ul');
  list.className = 'cm-tooltip-lint';
  for (const { severity, message, actions = [] } of problems) {
    const item = list.appendChild(document.createElement('li'));
    item.className = `cm-diagnostic cm-diagnostic-${severity}`;
    const text = item.appendChild(document.createElement('span'));
    text.className = 'cm-diagnosticText';
    text.textContent = message;
    for (const { name, apply } of actions) {
      const button = item.appendChild(document.createElement('button'));
      button.type = 'button';
      button.className = 'cm-diagnosticAction';
      button.textContent = name;
      button.addEventListener('click', () => {
        apply(view, from, to);
        view.focus();
      });
    }
  }
  return list;
}
