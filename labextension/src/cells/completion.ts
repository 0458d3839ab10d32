/** Completion in `%%pctx` cells: the server's answers, in JupyterLab's own list. */

import { syntaxTree } from '@codemirror/language';
import type { EditorState, Extension } from '@codemirror/state';
import { EditorView, ViewPlugin, type PluginValue, type ViewUpdate } from '@codemirror/view';
import type { CodeEditor } from '@jupyterlab/codeeditor';
import type {
  CompletionHandler,
  ICompletionContext,
  ICompletionProvider,
  ICompletionProviderManager
} from '@jupyterlab/completer';
import { Text } from '@jupyterlab/coreutils';
import type { ISettingRegistry } from '@jupyterlab/settingregistry';
import type { SyntaxNode } from '@lezer/common';

import type { Completed } from '../api';
import { inertLine } from '../inert';
import type { Assistant } from './assistant';
import { fillIn, viewOf } from './fields';
import { isInLine, isPctx } from './magic';
import { namesIn } from './names';
import type { Owners } from './owners';
import type { CellSettings } from './settings';

const NOTHING: CompletionHandler.ICompletionItemsReply = { start: 0, end: 0, items: [] };

/** Milliseconds between a keystroke and the list, so that an open list handles the keystroke first. */
const AFTER_KEYSTROKE_MS = 30;

/** Milliseconds that JupyterLab waits for an answer, unless its users have set another time. */
const PATIENCE_MS = 1_000;

/** Characters of a type in the list. */
const MOST_DETAIL = 40;

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
  readonly #beside: (isOurs: boolean) => void;
  #askedAgain = '';
  /** The tools of the latest list: their arguments by name, and the editor that it is for. */
  #offered: { editor: CodeEditor.IEditor | null; tools: Map<string, readonly string[]> } | null = null;

  /**
   * @param invoke - Makes JupyterLab request the list of a notebook or a console.
   * @param beside - Is called before each list, with whether it is ours: descriptions are shown beside ours.
   */
  constructor(
    assistant: Assistant,
    settings: CellSettings,
    invoke: (owner: string) => void,
    now: () => number = () => performance.now(),
    beside: (isOurs: boolean) => void = () => undefined
  ) {
    this.#beside = beside;
    this.#assistant = assistant;
    this.#settings = settings;
    this.#invoke = invoke;
    this.#now = now;
  }

  isApplicable(context: ICompletionContext): Promise<boolean> {
    const isOurs = isPctx(context.editor?.model.sharedModel.getSource() ?? '');
    this.#beside(isOurs);
    return Promise.resolve(isOurs);
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
    const found = answer.value.items.filter(item => hasOther || item.type !== 'alias');
    const tools = found.flatMap(item => (item.arguments ? [[item.insertText, item.arguments] as const] : []));
    this.#offered = { editor: context.editor ?? null, tools: new Map(tools) };
    const items = found.map(itemOf);
    return {
      start: Text.jsIndexToCharIndex(start, source),
      end: Text.jsIndexToCharIndex(end, source),
      items
    };
  }

  /** A person has taken a text from the list: of a tool, add the fields of a call. */
  accept(text: string): void {
    const names = this.#offered?.tools.get(text);
    const editor = this.#offered?.editor;
    const view = editor && !editor.isDisposed && editor.hasFocus() ? viewOf(editor.host) : null;
    if (!view || !names) {
      return;
    }
    const { head } = view.state.selection.main;
    const isThere = view.state.sliceDoc(Math.max(0, head - text.length), head) === text;
    if (isThere && !/^\s*[(\w$.<]/.test(view.state.sliceDoc(head, head + 20).split('\n', 1)[0] ?? '')) {
      fillIn(view, head, head, names);
    }
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

/**
 * An item of JupyterLab's list: a name with its type. JupyterLab compares what is typed with the part before a parenthesis.
 */
export function itemOf(item: Completed['items'][number]): CompletionHandler.ICompletionItem {
  const whole = inertLine(item.detail ?? '');
  const isCall = whole.includes(') → ');
  // Of a long call the arguments are left out: the description beside the list has them.
  const result = isCall && whole.length > MOST_DETAIL ? `(…) → ${whole.slice(whole.lastIndexOf(') → ') + 4)}` : whole;
  const detail = inertLine(result, MOST_DETAIL);
  const label = detail === '' ? item.label : isCall ? `${item.label}${detail}` : `${item.label} (${detail})`;
  const documentation = [item.arguments ? '' : whole, item.documentation].filter(Boolean).join('\n\n');
  return { label, insertText: item.insertText, type: item.type, documentation };
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

/** Call a function with each text that a person accepts; JupyterLab 4.2 does not report it. */
export function followAccepted(manager: ICompletionProviderManager, accept: (text: string) => void): void {
  const { selected } = manager as Partial<ICompletionProviderManager>;
  selected?.connect((_, { insertText }) => {
    accept(insertText);
  });
}

/** JupyterLab's own settings of completion. */
const MANAGER_SETTINGS = '@jupyterlab/completer-extension:manager';

/**
 * Returns a function that shows descriptions beside our lists, and beside others where the user wants them.
 *
 * JupyterLab has one switch for all cells, which is off at first.
 */
export function documentationBeside(
  manager: ICompletionProviderManager,
  settings: CellSettings,
  registry: ISettingRegistry | null
): (isOurs: boolean) => void {
  const { setShowDocumentationPanel } = manager as { setShowDocumentationPanel?: (isShown: boolean) => void };
  let usual = { isShown: false, isChosen: false };
  registry
    ?.load(MANAGER_SETTINGS)
    .then(loaded => {
      const read = (): void => {
        const { user, composite } = loaded.get('showDocumentationPanel');
        usual = { isShown: composite === true, isChosen: user !== undefined };
      };
      loaded.changed.connect(read);
      read();
    })
    .catch((error: unknown) => {
      console.debug('pctx: cannot change how descriptions are shown; the setting of JupyterLab applies', error);
    });
  return isOurs => {
    if (!usual.isChosen) {
      setShowDocumentationPanel?.call(manager, usual.isShown || (isOurs && settings.showDocumentation));
    }
  };
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

/** Characters before the cursor that are looked at: to look through a line of 100,000 would take seconds. */
const NEAR = 500;

/**
 * Whether the text before the cursor can be completed: a name or a dot in code, a space before the name of an argument, a
 * dash or a name in the magic line.
 */
export function isBeforeCompletion({ state }: EditorView): boolean {
  const { main } = state.selection;
  if (!main.empty) {
    return false;
  }
  const line = state.doc.lineAt(main.head);
  const before = line.text.slice(Math.max(0, main.head - line.from - NEAR), main.head - line.from);
  if (isInLine(state.doc.toString(), main.head)) {
    return /\s(--?[\w-]*|(-i|--input|-f|--frame|--tools)[ =]?[\w$.,]*)$/.test(before);
  }
  if (/[{,] $/.test(before)) {
    return isInArgument(state, main.head - 1);
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

/** Whether a brace, or a comma, before a position is of an object that is passed to a function. */
function isInArgument(state: EditorState, position: number): boolean {
  for (let node: SyntaxNode | null = syntaxTree(state).resolveInner(position, -1); node; node = node.parent) {
    if (node.name === 'ObjectExpression') {
      return node.parent?.name === 'ArgList';
    }
    if (!/^([{,]|Property|⚠)$/.test(node.name)) {
      return false;
    }
  }
  return false;
}
