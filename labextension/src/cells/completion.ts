/** Completion in `%%pctx` cells: the server's answers, in JupyterLab's own list. */

import { syntaxTree } from '@codemirror/language';
import type { Extension } from '@codemirror/state';
import { EditorView, ViewPlugin, type PluginValue, type ViewUpdate } from '@codemirror/view';
import type { CodeEditor } from '@jupyterlab/codeeditor';
import type {
  CompletionHandler,
  ICompletionContext,
  ICompletionProvider,
  ICompletionProviderManager
} from '@jupyterlab/completer';
import { Text } from '@jupyterlab/coreutils';

import type { Assistant } from './assistant';
import { isInLine, isPctx } from './magic';
import { namesIn } from './names';
import type { Owners } from './owners';
import type { CellSettings } from './settings';

const NOTHING: CompletionHandler.ICompletionItemsReply = { start: 0, end: 0, items: [] };

/** Milliseconds between a keystroke and the list, so that an open list handles the keystroke first. */
const AFTER_KEYSTROKE_MS = 30;

/** Milliseconds that JupyterLab waits for an answer, unless its users have set another time. */
const PATIENCE_MS = 1_000;

/** Provides the server's completions. */
export class PctxCompletions implements ICompletionProvider {
  readonly identifier = 'pctx-jupyter:completions';
  /** Above the kernel's (550) and the words of the cell (500). */
  readonly rank = 1100;
  readonly renderer = null;
  readonly #assistant: Assistant;
  readonly #settings: CellSettings;
  readonly #invoke: (owner: string) => void;
  readonly #now: () => number;
  #askedAgain = '';

  /**
   * @param invoke - Makes JupyterLab request the list of a notebook or a console.
   */
  constructor(
    assistant: Assistant,
    settings: CellSettings,
    invoke: (owner: string) => void,
    now: () => number = () => performance.now()
  ) {
    this.#assistant = assistant;
    this.#settings = settings;
    this.#invoke = invoke;
    this.#now = now;
  }

  isApplicable(context: ICompletionContext): Promise<boolean> {
    return Promise.resolve(isPctx(context.editor?.model.sharedModel.getSource() ?? ''));
  }

  async fetch(
    request: CompletionHandler.IRequest,
    context: ICompletionContext
  ): Promise<CompletionHandler.ICompletionItemsReply> {
    const kernelId = context.session?.kernel?.id;
    if (kernelId === undefined) {
      return NOTHING;
    }
    // JupyterLab counts characters, the server and editors count UTF-16 units.
    const source = request.text;
    const offset = Text.charIndexToJsIndex(request.offset, source);
    const inputs = isInLine(source, offset) ? namesIn(context.widget) : [];
    const isAsAsked = standing(context.editor, source, offset);
    const asked = this.#now();
    const answer = await this.#assistant.complete({ source, offset, kernel_id: kernelId, inputs });
    // JupyterLab before 4.6 would show the list of an old text, and meanwhile request no other one.
    if (answer.status !== 'known' || !isAsAsked()) {
      return NOTHING;
    }
    if (this.#now() - asked > PATIENCE_MS) {
      this.#askAgain(context, `${String(offset)} ${source}`, isAsAsked);
    }
    const { start, end } = answer.value;
    // Of a tool's two spellings one is enough: JupyterLab would put `load_orders` before `loadOrders`.
    const hasOther = source.slice(start, end).includes('_');
    const items = answer.value.items.filter(item => hasOther || item.type !== 'alias');
    return {
      start: Text.jsIndexToCharIndex(start, source),
      end: Text.jsIndexToCharIndex(end, source),
      items
    };
  }

  /** Called only if JupyterLab itself completes while the user types. */
  shouldShowContinuousHint(isVisible: boolean, changed: { sourceChange?: { insert?: string }[] }): boolean {
    const typed = changed.sourceChange?.map(part => part.insert ?? '').join('') ?? '';
    return !isVisible && !this.#settings.completeWhileTyping && /^[\w$.]$/.test(typed);
  }

  /**
   * Exclude other providers in programs, if we have completions.
   *
   * Python's names and the words of a cell are not TypeScript. A busy kernel would delay the list by a second, because
   * JupyterLab shows it after the last answer. In the magic line, an idle kernel may answer: it knows its variables.
   */
  keepAlone(others: Iterable<ICompletionProvider>): void {
    for (const other of others) {
      if (other === this || silenced.has(other)) {
        continue;
      }
      silenced.add(other);
      const isApplicable = other.isApplicable.bind(other);
      other.isApplicable = context => (this.#isAlone(context) ? Promise.resolve(false) : isApplicable(context));
    }
  }

  /** Request the list again, once per place: JupyterLab no longer waits for this answer, and the type checker has started. */
  #askAgain(context: ICompletionContext, place: string, isAsAsked: () => boolean): void {
    if (this.#askedAgain !== place) {
      this.#askedAgain = place;
      window.setTimeout(() => {
        if (isAsAsked()) {
          this.#invoke(context.widget.id);
        }
      });
    }
  }

  #isAlone(context: ICompletionContext): boolean {
    const { editor, session } = context;
    const source = editor?.model.sharedModel.getSource() ?? '';
    if (!editor || !session?.kernel || !isPctx(source) || !this.#assistant.isUseful(session.kernel.id)) {
      return false;
    }
    const isInProgram = !isInLine(source, editor.getOffsetAt(editor.getCursorPosition()));
    return isInProgram || session.kernel.status !== 'idle';
  }
}

/** Returns a function that checks whether an editor still has the same text, cursor and focus. */
function standing(editor: CodeEditor.IEditor | null | undefined, source: string, offset: number): () => boolean {
  const hadFocus = editor?.hasFocus();
  return () =>
    !editor ||
    (!editor.isDisposed &&
      (!hadFocus || editor.hasFocus()) &&
      editor.model.sharedModel.getSource() === source &&
      editor.getOffsetAt(editor.getCursorPosition()) === offset);
}

const silenced = new WeakSet<ICompletionProvider>();

/** Find the registered providers, which older versions of JupyterLab do not expose. */
export function providersOf(manager: ICompletionProviderManager): Iterable<ICompletionProvider> {
  const { getProviders } = manager as { getProviders?: () => Map<string, ICompletionProvider> };
  return getProviders?.call(manager).values() ?? [];
}

/** Requests the list while the user types. */
export function completeWhileTyping(
  manager: ICompletionProviderManager,
  owners: Owners,
  settings: CellSettings
): Extension {
  class WhileTyping implements PluginValue {
    readonly #view: EditorView;
    #timer = 0;

    constructor(view: EditorView) {
      this.#view = view;
    }

    update(update: ViewUpdate): void {
      const isTyped =
        update.docChanged && update.transactions.some(transaction => transaction.isUserEvent('input.type'));
      // No list after a completion is accepted or the cursor moves. Text of other users does not set the selection.
      if (isTyped || update.selectionSet) {
        window.clearTimeout(this.#timer);
      }
      if (settings.completeWhileTyping && isTyped && isBeforeCompletion(update.view)) {
        this.#timer = window.setTimeout(() => {
          const owner = owners.of(this.#view.dom);
          if (owner && this.#view.hasFocus) {
            manager.invoke(owner.id);
          }
        }, AFTER_KEYSTROKE_MS);
      }
    }

    destroy(): void {
      window.clearTimeout(this.#timer);
    }
  }
  return ViewPlugin.fromClass(WhileTyping);
}

/** Whether the text before the cursor can be completed: a name or a dot in code, a dash or a name in the magic line. */
export function isBeforeCompletion({ state }: EditorView): boolean {
  const { main } = state.selection;
  if (!main.empty) {
    return false;
  }
  const line = state.doc.lineAt(main.head);
  const before = line.text.slice(0, main.head - line.from);
  if (isInLine(state.doc.toString(), main.head)) {
    return /\s(--?[\w-]*|(-i|--input|--tools)[ =]?[\w$.,]*)$/.test(before);
  }
  if (
    !/(^|[^\w$.])[A-Za-z_$][\w$]*$|[\w$)\]}'"`]\s*\??\.[\w$]*$|^\s*\??\.[\w$]*$/.test(before) ||
    /(^|[^\w$])\d[\w.]*$/.test(before)
  ) {
    return false;
  }
  const node = syntaxTree(state).resolveInner(main.head, -1).name;
  return !/^(String|TemplateString|LineComment|BlockComment|RegExp)$/.test(node);
}
