/** Sets and removes our MIME type of a cell's text when its first line changes. */

import type { CodeEditor } from '@jupyterlab/codeeditor';

import { PCTX_MIME } from './language';
import { isPctx } from './magic';

const PYTHON = new Set(['text/x-ipython', 'text/x-python']);

const followed = new WeakSet<CodeEditor.IModel>();

/** Whether a text may become a `%%pctx` cell: its language is Python, or will be when its kernel has reported it. */
export function mayBePctx(model: CodeEditor.IModel): boolean {
  return PYTHON.has(model.mimeType) || model.mimeType === PCTX_MIME || model.mimeType === 'text/plain';
}

/** Follow a text until it is disposed of. Each of its editors loads the language on its own. */
export function follow(model: CodeEditor.IModel): void {
  if (followed.has(model)) {
    return; // another view of the same cell
  }
  followed.add(model);
  let python = 'text/x-ipython';
  const tag = (): void => {
    const mime = model.mimeType;
    const isOurs = isPctx(model.sharedModel.source);
    if (isOurs && PYTHON.has(mime)) {
      python = mime;
      model.mimeType = PCTX_MIME; // the handler below is called for it, and does nothing
    } else if (!isOurs && mime === PCTX_MIME) {
      model.mimeType = python;
    }
  };
  model.sharedModel.changed.connect(tag);
  // The notebook sets it again when a cell is inserted, and when its kernel reports its language.
  model.mimeTypeChanged.connect(tag);
  tag();
}
