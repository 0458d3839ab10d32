/**
 * Underlines problems of a program while it is edited, and offers corrections.
 *
 * Only cells that are on the screen are checked: when they appear, and when the user stops typing. They are checked again when
 * a cell ran in their notebook, which may have exported names, and when the server says that tools have changed.
 */

import { linter, setDiagnostics, forEachDiagnostic, type Diagnostic } from '@codemirror/lint';
import type { Extension, Text } from '@codemirror/state';
import { ViewPlugin, type EditorView, type PluginValue, type ViewUpdate } from '@codemirror/view';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Underlined } from '../api';
import type { CatalogChanges } from '../catalog';
import { inert, inertLine } from '../inert';
import type { Assistant } from './assistant';
import { addArguments } from './fields';
import { kernelOf, type Owner, type Owners } from './owners';
import { problemBubble } from './problem';
import type { CellSettings } from './settings';

/** Milliseconds after the last change of a text until it is checked. */
const REST_MS = 250;
/** Milliseconds until the next try if the type checker, or the kernel's connection, is not ready yet. */
const RETRY_MS = 1_000;
const MOST_TRIES = 6;

export function squiggles(
  assistant: Assistant,
  owners: Owners,
  catalogs: CatalogChanges | null,
  settings: CellSettings,
  trans: TranslationBundle
): Extension {
  class Squiggles implements PluginValue {
    readonly #view: EditorView;
    readonly #screen: IntersectionObserver;
    #isOnScreen = false;
    /** Whether the underlined problems may be out of date. */
    #isStale = true;
    #timer = 0;
    /** Tries that are left while the type checker starts, or the kernel connects. */
    #tries = MOST_TRIES;
    #mayConnect = false;
    #question = new AbortController();
    /** The problems that are underlined, and the text that they are of. */
    #drawn = '';
    #drawnFor: Text | null = null;

    constructor(view: EditorView) {
      this.#view = view;
      this.#screen = new IntersectionObserver(entries => {
        this.#isOnScreen = entries.at(-1)?.isIntersecting ?? false;
        this.#schedule(0);
      });
      this.#screen.observe(view.dom);
      owners.changed.connect(this.#onOwnerChanged, this);
      catalogs?.connect(this.#refresh, this);
      settings.changed.connect(this.#again, this);
    }

    update(update: ViewUpdate): void {
      if (update.docChanged) {
        this.#refresh();
      }
    }

    destroy(): void {
      this.#screen.disconnect();
      this.#question.abort();
      window.clearTimeout(this.#timer);
      owners.changed.disconnect(this.#onOwnerChanged, this);
      catalogs?.disconnect(this.#refresh, this);
      settings.changed.disconnect(this.#again, this);
    }

    #onOwnerChanged(_: Owners, owner: Owner): void {
      if (owner.node.contains(this.#view.dom)) {
        this.#again();
      }
    }

    #again(): void {
      this.#mayConnect = true;
      this.#refresh();
    }

    #refresh(): void {
      this.#isStale = true;
      this.#tries = MOST_TRIES;
      this.#schedule(REST_MS);
    }

    #schedule(delayMs: number): void {
      this.#question.abort();
      window.clearTimeout(this.#timer);
      if (this.#isStale && this.#isOnScreen) {
        this.#timer = window.setTimeout(() => {
          this.#check().catch((error: unknown) => {
            console.error('pctx: cannot check a cell', error);
          });
        }, delayMs);
      }
    }

    async #check(): Promise<void> {
      const { doc } = this.#view.state;
      const owner = owners.of(this.#view.dom);
      const kernelId = owner && kernelOf(owner);
      if (settings.diagnostics === 'off' || kernelId === null) {
        this.#show([], doc);
        return;
      }
      const question = (this.#question = new AbortController());
      const answer = await assistant.diagnostics(doc.toString(), kernelId, question.signal);
      if (question.signal.aborted) {
        return;
      }
      if (answer.status === 'known') {
        const wanted = answer.value.filter(one => settings.diagnostics === 'all' || one.severity === 'error');
        this.#show(wanted, doc);
        this.#mayConnect = false;
        return;
      }
      if (answer.status === 'unknown') {
        this.#show([], doc);
      }
      this.#isStale = true;
      if ((answer.status === 'later' || this.#mayConnect) && --this.#tries > 0) {
        this.#schedule(RETRY_MS);
      }
    }

    #show(found: Underlined[], doc: Text): void {
      this.#isStale = false;
      const view = this.#view;
      let before = 0;
      forEachDiagnostic(view.state, () => before++);
      if (view.state.doc === doc && (found.length > 0 || before > 0)) {
        // Drawn again, the same problems would close the bubble that somebody reads.
        const drawn = JSON.stringify(found);
        if (this.#drawnFor === doc && this.#drawn === drawn) {
          return;
        }
        this.#drawnFor = doc;
        this.#drawn = drawn;
        view.dispatch(
          setDiagnostics(
            view.state,
            found.map(one => this.#diagnostic(one, doc.length))
          )
        );
      }
    }

    #diagnostic({ from, to, severity, message, instead, absent }: Underlined, end: number): Diagnostic {
      const place = { from: Math.min(from, end), to: Math.min(to, end) };
      const diagnostic: Diagnostic = { ...place, severity, message: inert(message, 4_000) };
      if (instead !== null && instead !== undefined) {
        const apply = (view: EditorView, start: number, stop: number): void => {
          view.dispatch({ changes: { from: start, to: stop, insert: instead }, userEvent: 'input.complete' });
        };
        diagnostic.actions = [{ name: trans.__('Change to %1', inertLine(instead, 200)), apply }];
      } else if (absent) {
        const drawnFor = this.#view.state.doc;
        const apply = (view: EditorView): void => {
          if (view.state.doc === drawnFor) {
            addArguments(view, absent); // its place is one of this text
          }
        };
        diagnostic.actions = [
          { name: trans._n('Add the missing argument', 'Add the missing arguments', absent.names.length), apply }
        ];
      }
      return diagnostic;
    }
  }
  // A linter without a source: it keeps and draws the problems found here, and is removed when the cell is Python again.
  return [linter(null), problemBubble(), ViewPlugin.fromClass(Squiggles)];
}

/** Apply the correction of the problem at the cursor, or of the nearest one; false: there is none. */
export function fixProblem(view: EditorView): boolean {
  const { head } = view.state.selection.main;
  const fixes: { distance: number; apply: () => void }[] = [];
  forEachDiagnostic(view.state, ({ actions }, from, to) => {
    for (const action of actions?.slice(0, 1) ?? []) {
      const distance = head < from ? from - head : Math.max(0, head - to);
      fixes.push({
        distance,
        apply: () => {
          action.apply(view, from, to);
        }
      });
    }
  });
  const [nearest] = fixes.sort((one, other) => one.distance - other.distance);
  nearest?.apply();
  return nearest !== undefined;
}
