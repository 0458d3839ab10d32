/** Calls with fields to fill in: Tab goes from argument to argument, and behind the call after the last one. */

import {
  hasNextSnippetField,
  hasPrevSnippetField,
  nextSnippetField,
  prevSnippetField,
  snippet
} from '@codemirror/autocomplete';
import type { EditorState, Extension } from '@codemirror/state';
import { EditorView } from '@codemirror/view';

import type { ArgumentsToAdd } from '../api';

/** The class of an editor with fields: the shortcuts of Tab are for such editors alone. */
export const FIELDS_CLASS = 'pctx-mod-fields';

/** The argument of a call as text, with `mark` where each value belongs, and at the end. */
export function argumentsOf(names: readonly string[], mark: string): string {
  return names.length === 0 ? `(${mark})${mark}` : `({ ${valuesOf(names, mark)} })${mark}`;
}

function valuesOf(names: readonly string[], mark: string): string {
  return names.map(name => `${name}: ${mark}`).join(', ');
}

/** Names that a template cannot read as fields. */
function inTemplate(names: readonly string[]): string[] {
  return names.map(name => name.replace(/[{}]/g, '\\$&'));
}

/** Replace a part of an editor's text by the argument of a call, and go to its first field. */
export function fillIn(view: EditorView, from: number, to: number, names: readonly string[]): void {
  snippet(argumentsOf(inTemplate(names), '${}'))(view, null, from, to);
}

/** Add arguments to a call that does not have them, and go to the first one. */
export function addArguments(view: EditorView, { at, names, before, after }: ArgumentsToAdd): void {
  const values = valuesOf(inTemplate(names), '${}');
  snippet(before + values + after + '${}')(view, null, at, at);
}

/** Find the editor of a cell. */
export function viewOf(host: HTMLElement): EditorView | null {
  return EditorView.findFromDOM(host);
}

export function hasFields(state: EditorState): boolean {
  return hasNextSnippetField(state) || hasPrevSnippetField(state);
}

/** Go to the next field, or to the one before; false: there is none. */
export function goToField(view: EditorView, isNext: boolean): boolean {
  return (isNext ? nextSnippetField : prevSnippetField)(view);
}

export function callFields(): Extension {
  return EditorView.editorAttributes.of(view => (hasFields(view.state) ? { class: FIELDS_CLASS } : null));
}
